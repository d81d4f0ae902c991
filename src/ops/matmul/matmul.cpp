// MatMul: operands a [..., M, K], b [..., K, N] and, only when the compiler or an importer made it,
// a constant bias [N]; batch dimensions broadcast. An operand of rank 1 is a row (a) or a column
// (b). Attribute transpose_b: b is [..., N, K].
#include "ops/matmul/matmul.hpp"

#include <algorithm>
#include <array>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// More products of bytes than these can overflow the 32 bits of their sum.
constexpr std::int64_t kMaxQuantizedDepth = INT32_MAX / (255 * 255);

// Both operands and the result as matrices in batches, all of one rank.
struct Matrices {
  Shape a, b, out;
  std::int64_t depth = 0;
  std::int64_t columns = 0;
};

Result<Matrices> matrices_of(const Graph& graph, const Node& node) {
  Matrices m;
  m.a = graph.value(node.inputs[0]).type.shape;
  m.b = graph.value(node.inputs[1]).type.shape;
  const auto misfit = [&] {
    return error(Code::InvalidGraph, "operands ", list_str(graph.value(node.inputs[0]).type.shape),
                 " and ", list_str(graph.value(node.inputs[1]).type.shape), " do not multiply");
  };
  if (m.a.empty() || m.b.empty()) return misfit();
  const bool transpose_b = node.attrs.boolean("transpose_b");
  if (transpose_b && m.b.size() == 1) return misfit();
  if (m.a.size() == 1) m.a.insert(m.a.begin(), 1);
  if (m.b.size() == 1) m.b.push_back(1);
  const std::size_t rank = std::max(m.a.size(), m.b.size());
  m.a.insert(m.a.begin(), rank - m.a.size(), 1);
  m.b.insert(m.b.begin(), rank - m.b.size(), 1);
  m.depth = m.a[rank - 1];
  m.columns = m.b[transpose_b ? rank - 2 : rank - 1];
  if (m.b[transpose_b ? rank - 1 : rank - 2] != m.depth) return misfit();
  const auto batch = [&](const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); };
  ENN_ASSIGN(m.out, broadcast(batch(m.a), batch(m.b)));
  m.out.push_back(m.a[rank - 2]);
  m.out.push_back(m.columns);
  return Matrices(std::move(m));
}

Result<NodeId> import_product(Graph& graph, const Call& call, Op op, const char* a, const char* b) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId first, args.tensor(a));
  ENN_ASSIGN(const ValueId second, args.tensor(b));
  return NodeId{add_call(graph, call, op, {first, second})};
}

// value * factor, as a node of its own unless factor is 1.
ValueId scaled(Graph& graph, const std::string& name, ValueId value, double factor) {
  if (factor == 1.0) return value;
  const std::array number{static_cast<float>(factor)};
  const ValueId constant = add_float_constant(graph, name + ".factor", {}, number);
  return internal_value(graph, Op::Mul, name, {value, constant}, graph.value(value).type);
}

}  // namespace

Result<NodeId> import_matmul(Graph& graph, const Call& call, Op op) {
  return import_product(graph, call, op, "self", "other");
}

Result<NodeId> import_bmm(Graph& graph, const Call& call, Op op) {
  return import_product(graph, call, op, "self", "mat2");
}

Result<NodeId> import_mv(Graph& graph, const Call& call, Op op) {
  return import_product(graph, call, op, "self", "vec");
}

Result<NodeId> import_dot(Graph& graph, const Call& call, Op op) {
  return import_product(graph, call, op, "self", "tensor");
}

Result<NodeId> import_baddbmm(Graph& graph, const Call& call, Op /*op*/) {
  return import_product_and_sum(graph, call, "batch1", "batch2");
}

// beta * self + alpha * (a b); self broadcasts.
Result<NodeId> import_product_and_sum(Graph& graph, const Call& call, const char* a,
                                      const char* b) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId addend, args.tensor("self"));
  ENN_ASSIGN(const ValueId first, args.tensor(a));
  ENN_ASSIGN(const ValueId second, args.tensor(b));
  ENN_ASSIGN(const double alpha, args.number("alpha", 1.0));
  ENN_ASSIGN(const double beta, args.number("beta", 1.0));
  const ValueId product = internal_value(graph, Op::MatMul, call.name + ".product", {first, second},
                                         call.results.front());
  const ValueId term = scaled(graph, call.name + ".alpha", product, alpha);
  const ValueId sum = scaled(graph, call.name + ".beta", addend, beta);
  return NodeId{add_call(graph, call, Op::Add, {sum, term})};
}

Result<std::vector<TensorType>> infer_matmul(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2 && node.inputs.size() != 3) {
    return error(Code::InvalidGraph, "expected two operands and perhaps a bias");
  }
  ENN_ASSIGN(const Matrices m, matrices_of(graph, node));
  if (node.inputs.size() == 3 && graph.value(node.inputs[2]).type.shape != Shape{m.columns}) {
    return error(Code::InvalidGraph, "bias ", list_str(graph.value(node.inputs[2]).type.shape),
                 " does not have ", m.columns, " elements");
  }
  Shape out = m.out;
  if (graph.value(node.inputs[1]).type.shape.size() == 1) out.pop_back();
  if (graph.value(node.inputs[0]).type.shape.size() == 1) {
    out.erase(out.end() - (graph.value(node.inputs[1]).type.shape.size() == 1 ? 1 : 2));
  }
  return std::vector<TensorType>{{graph.value(node.inputs[0]).type.dtype, std::move(out)}};
}

std::optional<std::string> support_matmul(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  if (numel(graph.value(node.inputs[0]).type.shape) == 0) return "its operands are empty";
  if (node.inputs.size() == 3 && !is_constant_expression(graph, node.inputs[2])) {
    return "its bias is computed at run time";
  }
  return std::nullopt;
}

void annotate_matmul(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  const Node& n = graph.node(node);
  if (!is_float_value(graph, n.inputs[0]) || !is_float_value(graph, n.inputs[1])) return;
  Annotation annotation;
  annotation.inputs.emplace_back(n.inputs[0], config.activation);
  annotation.inputs.emplace_back(n.inputs[1], config.activation);
  annotation.output = config.activation;
  annotations.set(node, std::move(annotation));
}

Traits traits_matmul(const Graph& graph, const Node& node) {
  const bool fits = graph.value(node.inputs[0]).type.shape.back() <= kMaxQuantizedDepth;
  return {.layout = LayoutRule::Contiguous,
          .quantized = fits ? QuantizedForm::Computes : QuantizedForm::None,
          .parameters_from = 2};
}

Status lower_matmul(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  ENN_ASSIGN(const Matrices m, matrices_of(graph, node));
  std::vector<float> bias(static_cast<std::size_t>(m.columns), 0.0F);
  if (node.inputs.size() == 3) {
    ENN_ASSIGN(bias, constant_floats(graph, node.inputs[2]));
    divide_by_scale(graph.value(node.outputs[0]), bias);
  }
  program::MatMulT op;
  op.a = builder.read_as(node.inputs[0], m.a);
  op.b = builder.read_as(node.inputs[1], m.b);
  op.bias = builder.constant_f32(bias);
  op.output = builder.write_as(node.outputs[0], m.out);
  op.transpose_b = node.attrs.boolean("transpose_b");
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

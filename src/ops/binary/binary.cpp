#include "ops/binary/binary.hpp"

#include <array>
#include <cmath>
#include <span>

#include "kernels/binary/functions.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"
#include "ops/steep.hpp"

namespace enn {
namespace {

struct Binary {
  BinaryOp op{};
  program::BinaryKind kind{};
};

// nullopt for what a pass decomposes.
std::optional<Binary> binary_of(Op op) {
  switch (op) {
#define ENN_BINARY(name) \
  case Op::name:         \
    return Binary{BinaryOp::name, program::BinaryKind_##name};
#include "kernels/binary/functions.def"
#undef ENN_BINARY
    default:
      return std::nullopt;
  }
}

// Of the wider kind: truth value, integer, float; among integers int64 when they differ.
DType common_dtype(DType a, DType b) {
  if (a == b) return a;
  if (is_float(a) || is_float(b)) return DType::Float32;
  if (a == DType::Bool) return b;
  if (b == DType::Bool) return a;
  return DType::Int64;
}

bool compares(const Node& node) {
  const auto binary = binary_of(node.op);
  return binary && is_comparison(binary->op);
}

// With one slope it is a function of one 8-bit value.
Status lower_prelu_table(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& weight = graph.value(node.inputs[1]);
  ENN_ASSIGN(const std::vector<float> slope, weight.quant
                                                 ? dequantized_floats(weight, *weight.quant)
                                                 : constant_floats(graph, node.inputs[1]));
  return lower_table(graph, node, builder,
                     [&](float x) { return apply_f32<BinaryOp::Prelu>(x, slope.front()); });
}

}  // namespace

Shape prelu_weight_shape(const Shape& input, const Shape& weight) {
  if (weight.size() != 1 || input.size() < 2) return weight;
  Shape shape(input.size() - 1, 1);
  shape[0] = weight[0];
  return shape;
}

DType compute_dtype(const Graph& graph, const Node& node) {
  if (node.attrs.boolean("logical")) return DType::Bool;
  if (!compares(node)) return graph.value(node.outputs[0]).type.dtype;
  const DType common =
      common_dtype(graph.value(node.inputs[0]).type.dtype, graph.value(node.inputs[1]).type.dtype);
  return common == DType::Int8 || common == DType::UInt8 ? DType::Int32 : common;
}

Result<std::vector<TensorType>> infer_binary(const Graph& graph, const Node& node) {
  if (node.inputs.size() != (node.op == Op::ClampTensor ? 3U : 2U)) {
    return error(Code::InvalidGraph, "expected two operands");
  }
  TensorType type = graph.value(node.inputs[0]).type;
  bool mixed = false;
  for (const ValueId id : node.inputs) {
    if (id == kNone) return error(Code::InvalidGraph, "an operand is absent");
    const TensorType& other = graph.value(id).type;
    const Shape shape =
        node.op == Op::Prelu ? prelu_weight_shape(type.shape, other.shape) : other.shape;
    ENN_ASSIGN(type.shape, broadcast(type.shape, id == node.inputs[0] ? other.shape : shape));
    mixed = mixed || other.dtype != type.dtype;
  }
  if (compares(node) || node.attrs.boolean("logical")) {
    type.dtype = DType::Bool;
  } else if ((mixed || node.op == Op::Div) && !node.outputs.empty()) {
    // Promotion depends on which operands were Python numbers: the declared result stands.
    type.dtype = graph.value(node.outputs[0]).type.dtype;
  }
  return std::vector<TensorType>{std::move(type)};
}

std::optional<std::string> support_binary(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  if (numel(shape) == 0) return "its result is empty";
  if (shape.size() > 8) return str("rank ", shape.size(), " is above 8");
  // Bytes are compared as int32.
  constexpr std::array kCompared{DType::Float32, DType::Int32, DType::Int64,
                                 DType::Bool,    DType::Int8,  DType::UInt8};
  const std::span<const DType> taken(kCompared);
  if (auto reason = dtype_reason(graph, node, compares(node) ? taken : taken.first(4)))
    return reason;
  const DType dtype = compute_dtype(graph, node);
  const auto binary = binary_of(node.op);
  const bool defined =
      is_float(dtype) ? !binary || !is_bitwise(binary->op) : !binary || !is_real(binary->op);
  if (!defined) return str("it is not taken on ", to_string(dtype));
  if (!is_float(dtype)) {
    const double alpha = node.attrs.number("alpha", 1.0);
    if (std::trunc(alpha) != alpha || std::fabs(alpha) > 0x1p24)
      return str("alpha = ", alpha, " is not taken on integers");
  }
  if (node.op == Op::Prelu && graph.value(node.inputs[1]).type.shape.size() > 1 &&
      node.target == "aten.prelu.default") {
    return "its weight has more than one dimension";
  }
  return std::nullopt;
}

void annotate_binary(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  const Node& n = graph.node(node);
  if (!is_float_value(graph, n.outputs[0])) return;
  switch (n.op) {
    // Whole numbers: 8 bits of an observed range would not hold them.
    case Op::FloorDivide:
    case Op::TruncDivide:
      return;
    case Op::Prelu:
      annotations.set(node,
                      {.inputs = {{n.inputs[0], config.activation}}, .output = config.activation});
      return;
    default:
      break;
  }
  Annotation annotation;
  for (std::size_t i = 0; i < n.inputs.size(); ++i) {
    const ValueId id = n.inputs[i];
    if (!is_float_value(graph, id)) return;
    // torchao attaches observers to edges between nodes: a Python number has none and stays float.
    const bool scalar = graph.value(id).is_constant() && graph.value(id).type.shape.empty();
    if (!scalar && !is_steep(graph, n, i) && !jumps(graph, n, i))
      annotation.inputs.emplace_back(id, config.activation);
  }
  annotate_output(graph, node, std::move(annotation), config, annotations);
}

// pow and atan2 are the C library's, whose last bit is the machine's: they run in float.
Traits traits_binary(const Graph&, const Node& node) {
  const bool exact = node.op != Op::Pow && node.op != Op::Atan2 && node.op != Op::ClampTensor;
  return {LayoutRule::Same, exact ? QuantizedForm::Computes : QuantizedForm::None};
}

Status lower_binary(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const auto binary = binary_of(node.op);
  if (!binary) return error(Code::Internal, "node '", node.name, "' was not decomposed");
  if (node.op == Op::Prelu && graph.value(node.outputs[0]).quant &&
      graph.value(node.inputs[1]).is_constant() &&
      numel(graph.value(node.inputs[1]).type.shape) == 1) {
    return lower_prelu_table(graph, node, builder);
  }
  program::BinaryT op;
  op.kind = binary->kind;
  op.a = builder.read(node.inputs[0]);
  op.b = builder.read(node.inputs[1]);
  op.output = builder.write(node.outputs[0]);
  const FloatRange range = float_range(node.attrs);
  op.activation_min = range.minimum;
  op.activation_max = range.maximum;
  op.alpha = static_cast<float>(node.attrs.number("alpha", 1.0));
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

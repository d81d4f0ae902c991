// LayerNorm, RmsNorm and GroupNorm: operands input, weight and bias (either may be none).
// Attributes: eps; dims of LayerNorm and RmsNorm, how many trailing dimensions are normalized;
// groups of GroupNorm, whose channels are dimension 1. Their weights have one element per
// normalized position, or per channel.
#include <algorithm>
#include <array>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// Squares of longer rows of bytes do not fit in 64 bits (kernels/normalize/normalize.hpp).
constexpr std::int64_t kMaxQuantizedLength = 1 << 23;

struct Rows {
  std::int64_t count = 1;
  std::int64_t length = 1;
  std::int64_t groups = 1;
  std::int64_t inner = 1;
  [[nodiscard]] std::int64_t parameters() const { return groups * (length / inner); }
};

Rows rows_of(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  Rows rows;
  if (node.op == Op::GroupNorm) {
    rows.groups = node.attrs.integer("groups", 1);
    rows.count = shape[0] * rows.groups;
    for (std::size_t d = 2; d < shape.size(); ++d) rows.inner *= shape[d];
    rows.length = shape[1] / rows.groups * rows.inner;
    return rows;
  }
  const std::size_t kept = shape.size() - static_cast<std::size_t>(node.attrs.integer("dims", 1));
  for (std::size_t d = 0; d < shape.size(); ++d) {
    (d < kept ? rows.count : rows.length) *= shape[d];
  }
  return rows;
}

Result<NodeId> import_trailing(Graph& graph, const Call& call, Op op, double eps) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const auto normalized, args.integers("normalized_shape"));
  ENN_ASSIGN(const ValueId weight, args.optional_tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  ENN_ASSIGN(eps, args.number("eps", eps));
  Attributes attrs;
  attrs.set("dims", static_cast<std::int64_t>(normalized.size()));
  attrs.set("eps", eps);
  return NodeId{add_call(graph, call, op, {input, weight, bias}, std::move(attrs))};
}

Result<NodeId> import_groups(Graph& graph, const Call& call, Op op, std::int64_t groups) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId weight, args.optional_tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  ENN_ASSIGN(const double eps, args.number("eps", 1e-5));
  Attributes attrs;
  attrs.set("groups", groups);
  attrs.set("eps", eps);
  return NodeId{add_call(graph, call, op, {input, weight, bias}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_layer_norm(Graph& graph, const Call& call, Op op) {
  return import_trailing(graph, call, op, 1e-5);
}

// Without an eps, float32's machine epsilon, as torch has it.
Result<NodeId> import_rms_norm(Graph& graph, const Call& call, Op op) {
  return import_trailing(graph, call, op, 0x1p-23);
}

Result<NodeId> import_group_norm(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const std::int64_t groups, Arguments(call).integer("num_groups"));
  return import_groups(graph, call, op, groups);
}

Result<NodeId> import_native_group_norm(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const std::int64_t groups, Arguments(call).integer("group"));
  return import_groups(graph, call, op, groups);
}

Result<NodeId> import_batch_norm(Graph& graph, const Call& call, Op op);

// Every channel is a group. With running statistics it is a batch norm.
Result<NodeId> import_instance_norm(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const bool from_input, args.boolean("use_input_stats", true));
  if (!from_input) return import_batch_norm(graph, call, Op::BatchNorm);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  const Shape& shape = graph.value(input).type.shape;
  return import_groups(graph, call, op, shape.size() < 2 ? 1 : shape[1]);
}

Result<std::vector<TensorType>> infer_normalize(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3) return error(Code::InvalidGraph, "expected input, weight and bias");
  const TensorType& input = graph.value(node.inputs[0]).type;
  Shape parameters;
  if (node.op == Op::GroupNorm) {
    const std::int64_t groups = node.attrs.integer("groups", 1);
    if (input.shape.size() < 2 || groups < 1 || input.shape[1] % groups != 0) {
      return error(Code::InvalidGraph, "input ", list_str(input.shape), " does not divide into ",
                   groups, " groups of channels");
    }
    parameters = {input.shape[1]};
  } else {
    const std::int64_t dims = node.attrs.integer("dims", 1);
    if (dims < 0 || dims > static_cast<std::int64_t>(input.shape.size())) {
      return error(Code::InvalidGraph, "input ", list_str(input.shape), " does not have ", dims,
                   " dimensions to normalize");
    }
    parameters.assign(input.shape.end() - dims, input.shape.end());
  }
  for (std::size_t i = 1; i < 3; ++i) {
    if (node.inputs[i] != kNone && graph.value(node.inputs[i]).type.shape != parameters) {
      return error(Code::InvalidGraph, "operand ", i, " of shape ",
                   list_str(graph.value(node.inputs[i]).type.shape), " is not of shape ",
                   list_str(parameters));
    }
  }
  // Further results are statistics, in whatever shape the overload gives them.
  std::vector<TensorType> types{input};
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    types.push_back(graph.value(node.outputs[i]).type);
  }
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_normalize(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    const ValueId output = node.outputs[i];
    if (!graph.users(output).empty() || graph.is_output(output)) {
      return "its statistics are used, and only its first result is taken";
    }
  }
  for (std::size_t i = 1; i < 3; ++i) {
    if (node.inputs[i] != kNone && !is_constant_expression(graph, node.inputs[i])) {
      return str("its ", i == 1 ? "weight" : "bias", " is computed at run time");
    }
  }
  return std::nullopt;
}

void annotate_normalize(const Graph& graph, NodeId node, const QuantizationConfig& config,
                        Annotations& annotations) {
  annotate_first(graph, node, config, annotations);
}

Traits traits_normalize(const Graph& graph, const Node& node) {
  const bool fits = rows_of(graph, node).length <= kMaxQuantizedLength;
  return {.layout = LayoutRule::Contiguous,
          .quantized = fits ? QuantizedForm::Computes : QuantizedForm::None,
          .parameters_from = 1};
}

Status lower_normalize(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Rows rows = rows_of(graph, node);
  const auto count = static_cast<std::size_t>(rows.parameters());
  ENN_ASSIGN(std::vector<float> weight, constant_floats_or(graph, node.inputs[1], count, 1.0F));
  ENN_ASSIGN(std::vector<float> bias, constant_floats_or(graph, node.inputs[2], count, 0.0F));
  divide_by_scale(graph.value(node.outputs[0]), weight);
  divide_by_scale(graph.value(node.outputs[0]), bias);
  const Shape shape{rows.count, rows.length};
  program::NormalizeT op;
  op.input = builder.read_as(node.inputs[0], shape);
  op.output = builder.write_as(node.outputs[0], shape);
  op.weight = builder.constant_f32(weight);
  op.bias = builder.constant_f32(bias);
  op.rows = static_cast<std::uint32_t>(rows.count);
  op.groups = static_cast<std::uint32_t>(rows.groups);
  op.inner = static_cast<std::uint32_t>(rows.inner);
  op.eps = static_cast<float>(node.attrs.number("eps"));
  op.center = node.op != Op::RmsNorm;
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

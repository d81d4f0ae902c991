// Functions of one operand. Attributes: min and max of Clamp (either may be absent).
#include <array>
#include <cstdint>
#include <limits>

#include "kernels/unary_f32/functions.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One row per unary operator: its scalar function and its kernel in the program.
struct Unary {
  float (*function)(float x, const Node& node);
  program::UnaryKind kind;
};

float lower_bound(const Node& node) {
  return static_cast<float>(node.attrs.number("min", -kInfinity));
}
float upper_bound(const Node& node) {
  return static_cast<float>(node.attrs.number("max", kInfinity));
}

std::optional<Unary> unary_row(Op op) {
  switch (op) {
    case Op::Relu:
      return Unary{[](float x, const Node&) { return relu_f32(x); }, program::UnaryKind_Relu};
    case Op::Clamp:
      return Unary{
          [](float x, const Node& n) { return clamp_f32(x, lower_bound(n), upper_bound(n)); },
          program::UnaryKind_Clamp};
    case Op::Sigmoid:
      return Unary{[](float x, const Node&) { return sigmoid_f32(x); }, program::UnaryKind_Sigmoid};
    case Op::Tanh:
      return Unary{[](float x, const Node&) { return tanh_f32(x); }, program::UnaryKind_Tanh};
    case Op::Hardswish:
      return Unary{[](float x, const Node&) { return hardswish_f32(x); },
                   program::UnaryKind_Hardswish};
    case Op::Hardsigmoid:
      return Unary{[](float x, const Node&) { return hardsigmoid_f32(x); },
                   program::UnaryKind_Hardsigmoid};
    default:
      return std::nullopt;
  }
}

Result<NodeId> import_clamp_between(Graph& graph, const Call& call, Op op, const char* minimum_name,
                                    const char* maximum_name, std::optional<double> minimum,
                                    std::optional<double> maximum) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  Attributes attrs;
  if (minimum || args.has(minimum_name)) {
    ENN_ASSIGN(const double value, args.number(minimum_name, minimum));
    attrs.set("min", value);
  }
  if (maximum || args.has(maximum_name)) {
    ENN_ASSIGN(const double value, args.number(maximum_name, maximum));
    attrs.set("max", value);
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_unary(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  return NodeId{add_call(graph, call, op, {input})};
}

Result<NodeId> import_relu6(Graph& graph, const Call& call, Op op) {
  return import_clamp_between(graph, call, op, "", "", 0.0, 6.0);
}

Result<NodeId> import_hardtanh(Graph& graph, const Call& call, Op op) {
  return import_clamp_between(graph, call, op, "min_val", "max_val", -1.0, 1.0);
}

Result<NodeId> import_clamp(Graph& graph, const Call& call, Op op) {
  return import_clamp_between(graph, call, op, "min", "max", {}, {});
}

Result<std::vector<TensorType>> infer_unary(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  return std::vector<TensorType>{graph.value(node.inputs[0]).type};
}

std::optional<std::string> support_unary(const Graph& graph, const Node& node) {
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_unary(const Graph& graph, NodeId node, const QuantizationConfig& config,
                    Annotations& annotations) {
  if (graph.node(node).op != Op::Sigmoid) return annotate_all(graph, node, config, annotations);
  const ValueId input = graph.node(node).inputs.front();
  if (!is_float_value(graph, input)) return;
  // sigmoid gives (0, 1): scale 1/256 with the lowest integer standing for 0 uses the whole range.
  const QuantizationSpec& activation = config.activation;
  const FixedQParamsSpec output{.dtype = activation.dtype,
                                .scale = 1.0 / (activation.quant_max - activation.quant_min + 1),
                                .zero_point = activation.quant_min,
                                .quant_min = activation.quant_min,
                                .quant_max = activation.quant_max};
  annotations.set(node, {.inputs = {{input, activation}}, .output = output});
}

Traits traits_unary(const Graph&, const Node&) {
  return {LayoutRule::Same, QuantizedForm::Computes};
}

Status lower_unary(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const auto row = unary_row(node.op);
  if (!row) return error(Code::Internal, "node '", node.name, "' is not unary");
  const Value& output = graph.value(node.outputs[0]);
  if (output.quant) {
    return lower_table(graph, node, builder, [&](float x) { return row->function(x, node); });
  }
  program::UnaryF32T op;
  op.kind = row->kind;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.alpha = lower_bound(node);
  op.beta = upper_bound(node);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

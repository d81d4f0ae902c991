// Add, Sub, Mul: two operands that broadcast; a scalar operand is a constant of rank 0. Attributes:
// alpha (only when it is not 1); activation_min and activation_max once an activation is fused.
#include <array>
#include <limits>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

Result<ValueId> tensor_or_scalar(Graph& graph, const Call& call, const Arguments& args,
                                 std::string_view name) {
  const Argument* found = args.find(name);
  if (found == nullptr || std::holds_alternative<TensorArgument>(*found)) return args.tensor(name);
  ENN_ASSIGN(const double number, args.number(name));
  const std::array value{static_cast<float>(number)};
  return ValueId{add_float_constant(graph, str(call.name, '.', name), {}, value)};
}

}  // namespace

Result<NodeId> import_binary(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId a, tensor_or_scalar(graph, call, args, "self"));
  ENN_ASSIGN(const ValueId b, tensor_or_scalar(graph, call, args, "other"));
  ENN_ASSIGN(const double alpha, args.number("alpha", 1.0));
  Attributes attrs;
  if (alpha != 1.0) attrs.set("alpha", alpha);
  return NodeId{add_call(graph, call, op, {a, b}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_binary(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return error(Code::InvalidGraph, "expected two operands");
  const TensorType& a = graph.value(node.inputs[0]).type;
  const TensorType& b = graph.value(node.inputs[1]).type;
  ENN_ASSIGN(Shape shape, broadcast(a.shape, b.shape));
  // Mixed dtypes promote; they are not taken, so the declared result stands.
  const DType dtype = a.dtype == b.dtype || node.outputs.empty()
                          ? a.dtype
                          : graph.value(node.outputs[0]).type.dtype;
  return std::vector<TensorType>{{dtype, std::move(shape)}};
}

std::optional<std::string> support_binary(const Graph& graph, const Node& node) {
  if (node.attrs.has("alpha"))
    return str("alpha = ", node.attrs.number("alpha"), " is not taken, only 1");
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_binary(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  const Node& n = graph.node(node);
  if (!is_float_value(graph, n.outputs[0]) || is_masked_score(graph, n.outputs[0])) return;
  Annotation annotation;
  for (const ValueId id : n.inputs) {
    if (!is_float_value(graph, id)) return;
    // torchao attaches observers to edges between nodes: a Python number has none and stays float.
    const bool scalar = graph.value(id).is_constant() && graph.value(id).type.shape.empty();
    if (!scalar) annotation.inputs.emplace_back(id, config.activation);
  }
  annotate_output(graph, node, std::move(annotation), config, annotations);
}

Traits traits_binary(const Graph&, const Node&) {
  return {LayoutRule::Same, QuantizedForm::Computes};
}

Status lower_binary(const Graph&, const Node& node, ProgramBuilder& builder) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  program::BinaryT op;
  switch (node.op) {
    case Op::Add:
      op.kind = program::BinaryKind_Add;
      break;
    case Op::Sub:
      op.kind = program::BinaryKind_Sub;
      break;
    case Op::Mul:
      op.kind = program::BinaryKind_Mul;
      break;
    default:
      return error(Code::Internal, "node '", node.name, "' is not binary");
  }
  op.a = builder.read(node.inputs[0]);
  op.b = builder.read(node.inputs[1]);
  op.output = builder.write(node.outputs[0]);
  op.activation_min = static_cast<float>(node.attrs.number("activation_min", -kInfinity));
  op.activation_max = static_cast<float>(node.attrs.number("activation_max", kInfinity));
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

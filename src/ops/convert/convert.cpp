// Convert: one operand, attribute dtype. A call that changes no element type is an identity.
#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {

Result<NodeId> import_convert(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor(args.has("self") ? "self" : "input"));
  const DType dtype = call.results.front().dtype;
  Attributes attrs;
  attrs.set("dtype", std::string(to_string(dtype)));
  const bool same = graph.value(input).type.dtype == dtype;
  return NodeId{add_call(graph, call, same ? Op::Identity : op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_convert(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const auto dtype = dtype_from_string(node.attrs.text("dtype"));
  if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
  return std::vector<TensorType>{{*dtype, graph.value(node.inputs[0]).type.shape}};
}

std::optional<std::string> support_convert(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  if (numel(shape) == 0) return "its result is empty";
  if (shape.size() > 8) return str("rank ", shape.size(), " is above 8");
  return dtype_reason(graph, node, kElementTypes);
}

void annotate_convert(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_convert(const Graph&, const Node&) { return {LayoutRule::Same, QuantizedForm::None}; }

Status lower_convert(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  program::ConvertT op;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.input_offset = storage_offset(graph.value(node.inputs[0]).type.dtype);
  op.output_offset = storage_offset(graph.value(node.outputs[0]).type.dtype);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

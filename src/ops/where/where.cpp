// Where: operands condition (bool), a, b, which broadcast: condition ? a : b. Operands may differ
// in element type until the pass promote_operands.
#include <array>

#include "ops/binary/binary.hpp"
#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {

Result<NodeId> import_where(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId condition, Arguments(call).tensor("condition"));
  ENN_ASSIGN(const auto operands, operand_pair(graph, call, "self", "other"));
  return NodeId{add_call(graph, call, op, {condition, operands.first, operands.second})};
}

Result<NodeId> import_masked_fill(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId mask, args.tensor("mask"));
  ENN_ASSIGN(const auto operands, operand_pair(graph, call, "value", "self"));
  return NodeId{add_call(graph, call, op, {mask, operands.first, operands.second})};
}

Result<std::vector<TensorType>> infer_where(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3) return error(Code::InvalidGraph, "expected three operands");
  const TensorType& a = graph.value(node.inputs[1]).type;
  const TensorType& b = graph.value(node.inputs[2]).type;
  ENN_ASSIGN(Shape shape, broadcast(a.shape, b.shape));
  ENN_ASSIGN(shape, broadcast(shape, graph.value(node.inputs[0]).type.shape));
  const DType dtype = a.dtype == b.dtype || node.outputs.empty()
                          ? a.dtype
                          : graph.value(node.outputs[0]).type.dtype;
  return std::vector<TensorType>{{dtype, std::move(shape)}};
}

std::optional<std::string> support_where(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  if (numel(shape) == 0) return "its result is empty";
  if (shape.size() > 8) return str("rank ", shape.size(), " is above 8");
  if (graph.value(node.inputs[0]).type.dtype != DType::Bool) return "its condition is not bool";
  return dtype_reason(graph, node,
                      std::array{DType::Float32, DType::Int32, DType::Int64, DType::Bool});
}

// It runs in float: what it fills in (-inf, -1e9) would spoil the range of the rest.
void annotate_where(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_where(const Graph&, const Node&) { return {LayoutRule::Same, QuantizedForm::None}; }

Status lower_where(const Graph&, const Node& node, ProgramBuilder& builder) {
  program::WhereT op;
  op.condition = builder.read(node.inputs[0]);
  op.a = builder.read(node.inputs[1]);
  op.b = builder.read(node.inputs[2]);
  op.output = builder.write(node.outputs[0]);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

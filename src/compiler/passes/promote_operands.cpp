#include "compiler/passes/passes.hpp"
#include "ops/binary/binary.hpp"
#include "ops/common.hpp"

namespace enn {
namespace {

// min(max(x, minimum), maximum).
void decompose_clamp(Graph& graph, NodeId id) {
  const Node node = graph.node(id);
  TensorType type = graph.value(node.outputs[0]).type;
  type.shape =
      broadcast(graph.value(node.inputs[0]).type.shape, graph.value(node.inputs[1]).type.shape)
          .value();
  const NodeId raised = graph.insert_node(id, Op::Maximum, node.name + ".raised",
                                          {node.inputs[0], node.inputs[1]}, {type});
  graph.node(raised).origin = node.origin;
  graph.node(id).op = Op::Minimum;
  graph.node(id).inputs = {graph.node(raised).outputs[0], node.inputs[2]};
}

// [C] -> [C, 1, …], which lies along dimension 1 of the input.
void align_prelu_weight(Graph& graph, NodeId id) {
  const Node node = graph.node(id);
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  TensorType type = graph.value(node.inputs[1]).type;
  if (type.shape.size() != 1 || rank <= 2) return;
  type.shape.resize(rank - 1, 1);
  Attributes attrs;
  attrs.set("shape", type.shape);
  const NodeId aligned = graph.insert_node(id, Op::Reshape, node.name + ".weight", {node.inputs[1]},
                                           {type}, std::move(attrs));
  graph.node(id).inputs[1] = graph.node(aligned).outputs[0];
}

void convert_operands(Graph& graph, NodeId id) {
  const DType dtype = compute_dtype(graph, graph.node(id));
  const std::size_t first = graph.node(id).op == Op::Where ? 1 : 0;
  for (std::size_t i = first; i < graph.node(id).inputs.size(); ++i) {
    const Value operand = graph.value(graph.node(id).inputs[i]);
    if (operand.type.dtype == dtype) continue;
    Attributes attrs;
    attrs.set("dtype", std::string(to_string(dtype)));
    const NodeId converted = graph.insert_node(
        id, Op::Convert, str(graph.node(id).name, ".operand", i), {graph.node(id).inputs[i]},
        {{dtype, operand.type.shape}}, std::move(attrs));
    graph.node(id).inputs[i] = graph.node(converted).outputs[0];
  }
}

}  // namespace

Status promote_operands(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Op op = graph.node(id).op;
    if (op == Op::ClampTensor) decompose_clamp(graph, id);
    if (op == Op::Prelu) align_prelu_weight(graph, id);
  }
  for (const NodeId id : graph.order()) {
    const std::string_view name = family(graph.node(id).op);
    if (name == "binary" || name == "where") convert_operands(graph, id);
  }
  return {};
}

}  // namespace enn

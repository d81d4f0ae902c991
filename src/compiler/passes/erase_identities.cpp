#include "compiler/passes/passes.hpp"

namespace enn {

Status erase_identities(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != Op::Identity || node.attrs.boolean("train")) continue;
    const Value& input = graph.value(node.inputs[0]);
    if (input.type != graph.value(node.outputs[0]).type) continue;
    graph.replace_uses(node.outputs[0], node.inputs[0]);
    graph.erase_node(id);
  }
  return {};
}

}  // namespace enn

#include "compiler/passes/passes.hpp"
#include "ops/written_out.hpp"

namespace enn {

Status recognize_functions(Graph& graph) {
  for (const NodeId id : graph.order()) {
    if (graph.node(id).dead || graph.node(id).outputs.size() != 1) continue;
    const ValueId input = graph.node(id).outputs[0];
    const auto function = written_out_function(graph, input);
    if (!function) continue;
    Node& last = graph.node(function->nodes.back());
    last.op = function->op;
    last.inputs = {input};
    last.attrs = {};
    for (auto before = function->nodes.rbegin() + 1; before != function->nodes.rend(); ++before)
      graph.erase_node(*before);
  }
  return {};
}

}  // namespace enn

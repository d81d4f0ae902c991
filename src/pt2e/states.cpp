#include "pt2e/states.hpp"

#include <algorithm>
#include <utility>

namespace enn {
namespace {

bool ends_an_update(const Node& node) {
  switch (node.op) {
    case Op::Convolution:
    case Op::Linear:
    case Op::MatMul:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<NodeId> updates_of_buffers(const Graph& graph, const std::vector<Mutation>& mutations) {
  std::vector<bool> old_values(graph.value_count());
  std::vector<bool> new_values(graph.value_count());
  for (const Mutation& mutation : mutations) {
    if (mutation.initial == nullptr) continue;
    old_values[graph.inputs()[mutation.before]] = true;
    new_values[graph.outputs()[mutation.after]] = true;
  }
  std::vector<NodeId> order = graph.order();
  std::erase_if(order, [&](NodeId id) { return ends_an_update(graph.node(id)); });
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    const bool reads = std::ranges::any_of(
        node.inputs, [&](ValueId input) { return input != kNone && old_values[input]; });
    for (const ValueId output : node.outputs) old_values[output] = old_values[output] || reads;
  }
  std::vector<NodeId> updates;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.node(*it);
    const auto is_new = [&](ValueId output) { return new_values[output]; };
    if (std::ranges::none_of(node.outputs, is_new)) continue;
    for (const ValueId input : node.inputs) {
      if (input != kNone) new_values[input] = true;
    }
    const bool old = std::ranges::any_of(node.outputs, [&](ValueId id) { return old_values[id]; });
    if (old) updates.push_back(*it);
  }
  std::ranges::reverse(updates);
  return updates;
}

Annotations annotate_beside_updates(const EnnQuantizer& quantizer, const Graph& graph,
                                    const std::vector<Mutation>& mutations) {
  const std::vector<NodeId> updates = updates_of_buffers(graph, mutations);
  if (updates.empty()) return quantizer.annotate(graph);
  EnnQuantizer restricted = quantizer;
  for (const NodeId id : updates) restricted.exclude_node(graph.node(id).name);
  const Annotations annotations = restricted.annotate(graph);
  std::vector<ValueId> read;
  for (const NodeId id : updates)
    std::ranges::copy(graph.node(id).inputs, std::back_inserter(read));
  Annotations out(graph);
  for (const NodeId id : graph.order()) {
    out.set_excluded(id, annotations.excluded_by(id));
    if (annotations.annotated(id)) out.set(id, *annotations.node(id));
  }
  for (const ValueId id : graph.inputs()) {
    const bool updated = std::ranges::any_of(mutations, [&](const Mutation& mutation) {
      return mutation.initial != nullptr && graph.inputs()[mutation.before] == id;
    });
    const bool apart = updated && std::ranges::find(read, id) != read.end();
    if (annotations.input(id) && !apart) out.set_input(id, *annotations.input(id));
  }
  return out;
}

}  // namespace enn

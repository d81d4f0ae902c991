#include "analysis/match_nodes.hpp"

#include <map>
#include <string>
#include <utility>

#include "pt2e/twin_graph.hpp"

namespace enn {
namespace {

using Key = std::pair<std::string, Op>;

std::map<Key, std::vector<NodeId>> nodes_by_module(const Graph& graph) {
  std::map<Key, std::vector<NodeId>> out;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!node.origin.modules.empty()) out[{module_path(node.origin), node.op}].push_back(id);
  }
  return out;
}

bool same_module(const Node& a, const Node& b) {
  return a.origin.modules.empty() || b.origin.modules.empty() ||
         module_path(a.origin) == module_path(b.origin);
}

bool same_types(const Graph& floats, const Node& a, const Graph& quantized, const Node& b) {
  if (a.outputs.size() != b.outputs.size()) return false;
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    if (floats.value(a.outputs[i]).type != quantized.value(b.outputs[i]).type) return false;
  }
  return true;
}

}  // namespace

std::vector<NodeId> match_nodes(const Graph& floats, const Graph& quantized) {
  std::vector<NodeId> matched = nodes_of_same_name(floats, quantized);
  std::vector<bool> taken(floats.node_count());
  for (const NodeId id : quantized.order()) {
    if (matched[id] == kNone) continue;
    const Node& other = floats.node(matched[id]);
    if (same_module(quantized.node(id), other) &&
        same_types(floats, other, quantized, quantized.node(id))) {
      taken[matched[id]] = true;
    } else {
      matched[id] = kNone;
    }
  }
  const std::map<Key, std::vector<NodeId>> known = nodes_by_module(floats);
  for (const auto& [key, nodes] : nodes_by_module(quantized)) {
    const auto found = known.find(key);
    if (found == known.end() || found->second.size() != nodes.size()) continue;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const NodeId other = found->second[i];
      if (matched[nodes[i]] != kNone || taken[other]) continue;
      if (!same_types(floats, floats.node(other), quantized, quantized.node(nodes[i]))) continue;
      matched[nodes[i]] = other;
      taken[other] = true;
    }
  }
  return matched;
}

}  // namespace enn

#include "ops/in_place.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string_view>

namespace enn {

namespace {

// A result in memory of its own, whatever the operator is in the graph.
bool copies(std::string_view target) {
  return target.starts_with("aten.clone.") || target.starts_with("aten.flip.") ||
         target.find("_copy.") != std::string_view::npos;
}

bool is_view(const Node& node) {
  const bool moves_nothing = node.op == Op::Identity || node.op == Op::Reshape ||
                             node.op == Op::Permute || node.op == Op::Strided;
  return moves_nothing && !copies(node.target) && !writes_in_place(node);
}

}  // namespace

bool writes_in_place(std::string_view overload) {
  const std::size_t dot = overload.rfind('.');
  const bool is_augmented = overload.starts_with("aten.__i");  // a &= b
  return dot != std::string_view::npos && dot > 1 &&
         (is_augmented || (overload[dot - 1] == '_' && overload[dot - 2] != '_'));
}

bool writes_in_place(const Node& node) {
  return !node.inputs.empty() && writes_in_place(node.target);
}

std::vector<ValueId> aliases_of(const Graph& graph, ValueId value) {
  std::vector<ValueId> aliases = {value};
  std::set<ValueId> seen = {value};
  const auto add = [&](ValueId id) {
    if (seen.insert(id).second) aliases.push_back(id);
  };
  for (std::size_t i = 0; i < aliases.size(); ++i) {
    const Node* producer = graph.producer(aliases[i]);
    if (producer != nullptr && is_view(*producer)) add(producer->inputs[0]);
    for (const NodeId user : graph.users(aliases[i])) {
      const Node& reader = graph.node(user);
      if (is_view(reader) && reader.inputs[0] == aliases[i]) add(reader.outputs[0]);
    }
  }
  return aliases;
}

bool is_write_seen(const Graph& graph, NodeId writer) {
  const std::vector<NodeId> order = graph.order();
  const auto after = std::ranges::find(order, writer) + 1;
  return std::ranges::any_of(aliases_of(graph, graph.node(writer).inputs[0]), [&](ValueId alias) {
    if (graph.is_output(alias)) return true;
    return std::ranges::any_of(graph.users(alias), [&](NodeId user) {
      return std::find(after, order.end(), user) != order.end();
    });
  });
}

Status check_writes_in_place(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!writes_in_place(node) || !is_write_seen(graph, id)) continue;
    return error(Code::Unsupported, "node '", node.name, "' (", node.target, ") writes into '",
                 graph.value(node.inputs[0]).name,
                 "', which is read by another name afterwards; make the program functional with "
                 "exported_program.run_decompositions()");
  }
  return {};
}

}  // namespace enn

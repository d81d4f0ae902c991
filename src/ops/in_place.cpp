#include "ops/in_place.hpp"

#include <cstddef>
#include <numeric>
#include <string_view>
#include <vector>

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

// Values that share memory, as far as the graph shows: those that views connect.
class AliasSets {
 public:
  explicit AliasSets(const Graph& graph) : parent_(graph.value_count()) {
    std::iota(parent_.begin(), parent_.end(), ValueId{0});
    const std::vector<NodeId> order = graph.order();
    for (const NodeId id : order) {
      const Node& node = graph.node(id);
      if (is_view(node)) parent_[root(node.outputs[0])] = root(node.inputs[0]);
    }
    sets_.resize(graph.value_count());
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      Set& set = sets_[root(id)];
      set.values.push_back(id);
      set.is_returned = set.is_returned || graph.is_output(id);
    }
    for (const NodeId id : order) {
      for (const ValueId input : graph.node(id).inputs) {
        if (input != kNone) sets_[root(input)].last_reader = id;
      }
    }
  }

  struct Set {
    std::vector<ValueId> values;
    bool is_returned = false;
    NodeId last_reader = kNone;
  };

  [[nodiscard]] const Set& of(ValueId id) { return sets_[root(id)]; }

 private:
  [[nodiscard]] ValueId root(ValueId id) {
    while (parent_[id] != id) {
      parent_[id] = parent_[parent_[id]];
      id = parent_[id];
    }
    return id;
  }

  std::vector<ValueId> parent_;
  std::vector<Set> sets_;
};

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
  return graph.analysis<AliasSets>()->of(value).values;
}

bool is_write_seen(const Graph& graph, NodeId writer) {
  const auto aliases = graph.analysis<AliasSets>();
  const AliasSets::Set& written = aliases->of(graph.node(writer).inputs[0]);
  return written.is_returned || graph.precedes(writer, written.last_reader);
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

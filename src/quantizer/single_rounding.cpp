#include "quantizer/single_rounding.hpp"

#include <algorithm>
#include <vector>

#include "ops/common.hpp"
#include "ops/fusion.hpp"

namespace enn {
namespace {

class SingleRounding {
 public:
  SingleRounding(const Graph& graph, const Annotations& annotations)
      : graph_(graph),
        order_(graph.order()),
        operands_(graph.node_count()),
        root_(graph.value_count()),
        inner_(graph.value_count(), true) {
    for (const NodeId id : order_) {
      if (annotations.annotated(id)) operands_[id] = elementwise_operands(graph, graph.node(id));
    }
    for (const ValueId id : graph.outputs()) inner_[id] = false;
  }

  // By value: it is computed from one stored value alone, and only for others that are.
  const std::vector<bool>& inner_values() {
    // Each round makes some value a stored one, from which others are computed anew.
    constexpr int kRounds = 8;
    for (int round = 0; round < kRounds; ++round) {
      find_roots();
      if (!store_others()) return inner_;
    }
    inner_.assign(inner_.size(), false);
    return inner_;
  }

 private:
  // The stored value that each value is computed from: itself where it is one.
  void find_roots() {
    for (ValueId id = 0; id < graph_.value_count(); ++id) root_[id] = id;
    for (const NodeId id : order_) {
      const std::vector<ValueId>& operands = operands_[id];
      if (operands.empty()) continue;
      const ValueId root = root_through(operands.front());
      const bool alone = std::ranges::all_of(
          operands, [&](ValueId operand) { return root_through(operand) == root; });
      const ValueId result = graph_.node(id).outputs[0];
      if (alone) root_[result] = root;
    }
  }

  [[nodiscard]] ValueId root_through(ValueId operand) const {
    return inner_[operand] ? root_[operand] : operand;
  }

  // A value that some reader joins with another one is stored. False when all were.
  bool store_others() {
    bool changed = false;
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      if (!inner_[id]) continue;
      const std::vector<NodeId> users = graph_.users(id);
      const bool inner =
          root_[id] != id && !users.empty() && std::ranges::all_of(users, [&](NodeId user) {
            return !operands_[user].empty() && root_[graph_.node(user).outputs[0]] == root_[id];
          });
      if (inner) continue;
      inner_[id] = false;
      changed = true;
    }
    return changed;
  }

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<std::vector<ValueId>> operands_;  // of nodes that take part
  std::vector<ValueId> root_;
  std::vector<bool> inner_;
};

}  // namespace

void round_once(const Graph& graph, Annotations& annotations) {
  SingleRounding analysis(graph, annotations);
  const std::vector<bool>& inner = analysis.inner_values();
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    Annotation annotation = *annotations.node(id);
    const std::size_t before = annotation.inputs.size();
    std::erase_if(annotation.inputs, [&](const auto& input) { return bool{inner[input.first]}; });
    const bool stored = !annotation.output || !inner[graph.node(id).outputs.front()];
    if (stored && annotation.inputs.size() == before) continue;
    if (!stored) annotation.output.reset();
    annotations.set(id, std::move(annotation));
  }
}

}  // namespace enn

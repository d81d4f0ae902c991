#include "ops/streams.hpp"

#include <algorithm>
#include <utility>

#include "ops/common.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

// x - mean(x), with which a norm begins that is written as its arithmetic.
bool centres(const Graph& graph, const Node& node) {
  if (node.op != Op::Sub) return false;
  const Node* mean = graph.producer(node.inputs[1]);
  return mean != nullptr && mean->op == Op::Mean && mean->inputs[0] == node.inputs[0];
}

bool is_square(const Node& node, ValueId of) {
  if (node.op == Op::Mul) return node.inputs[0] == of && node.inputs[1] == of;
  return (node.op == Op::Pow || node.op == Op::PowScalar) && node.inputs[0] == of;
}

// Adds two computed values of one shape.
bool adds_computed(const Graph& graph, const Node& node) {
  if (node.op != Op::Add || is_internal(node)) return false;
  const TensorType& type = graph.value(node.outputs[0]).type;
  return std::ranges::all_of(node.inputs, [&](ValueId id) {
    return id != kNone && graph.value(id).type == type && !is_constant_expression(graph, id);
  });
}

// The value that `id` is a part or another order of.
ValueId moved_from(const Graph& graph, ValueId id) {
  const Node* producer = graph.producer(id);
  while (producer != nullptr && moves_one(graph, *producer)) {
    id = producer->inputs[0];
    producer = graph.producer(id);
  }
  return id;
}

class Cells {
 public:
  explicit Cells(const Graph& graph) : graph_(graph), is_state_(graph.value_count(), false) {}

  std::vector<bool> run() {
    for (const NodeId id : graph_.order()) {
      if (adds_computed(graph_, graph_.node(id)) && updates_state(graph_.node(id)))
        add(graph_.node(id).outputs[0]);
    }
    follow();
    return std::move(is_state_);
  }

 private:
  [[nodiscard]] bool is_sigmoid(ValueId id) const {
    const Node* producer = graph_.producer(moved_from(graph_, id));
    return producer != nullptr && (producer->op == Op::Sigmoid || producer->op == Op::Hardsigmoid);
  }

  // A sigmoid's result, or 1 minus it.
  [[nodiscard]] bool is_gate(ValueId id) const {
    if (is_sigmoid(id)) return true;
    const Node* producer = graph_.producer(moved_from(graph_, id));
    return producer != nullptr && producer->op == Op::Sub &&
           is_constant_expression(graph_, producer->inputs[0]) && is_sigmoid(producer->inputs[1]);
  }

  // The factor beside a gate of the same shape, or kNone. x sigmoid(x) has no gate.
  [[nodiscard]] ValueId gated(ValueId product) const {
    const Node* node = graph_.producer(product);
    if (node == nullptr || node->op != Op::Mul) return kNone;
    const auto [a, b] = std::pair(node->inputs[0], node->inputs[1]);
    if (graph_.value(a).type != graph_.value(b).type) return kNone;
    for (const auto& [gate, other] : {std::pair(a, b), std::pair(b, a)}) {
      if (!is_gate(gate)) continue;
      const Node* sigmoid = graph_.producer(moved_from(graph_, gate));
      if (moved_from(graph_, sigmoid->inputs[0]) != moved_from(graph_, other)) return other;
    }
    return kNone;
  }

  [[nodiscard]] bool updates_state(const Node& sum) const {
    const ValueId first = gated(sum.inputs[0]);
    const ValueId second = gated(sum.inputs[1]);
    if (first != kNone && second != kNone) return true;
    // n + z (h - n)
    const ValueId other = first != kNone ? first : second;
    if (other == kNone) return false;
    const ValueId kept = sum.inputs[first != kNone ? 1 : 0];
    const Node* difference = graph_.producer(other);
    return difference != nullptr && difference->op == Op::Sub &&
           std::ranges::find(difference->inputs, kept) != difference->inputs.end();
  }

  void add(ValueId id) {
    if (id == kNone || is_state_[id] || !is_float_value(graph_, id) ||
        graph_.value(id).is_constant()) {
      return;
    }
    is_state_[id] = true;
    pending_.push_back(id);
  }

  // From a state back to the layers, and on through what is elementwise up to the next ones.
  void follow() {
    while (!pending_.empty()) {
      const ValueId id = pending_.back();
      pending_.pop_back();
      const Node* producer = graph_.producer(id);
      if (producer != nullptr && is_between_layers(*producer)) {
        for (const ValueId input : producer->inputs) add(input);
      }
      for (const NodeId user : graph_.users(id)) {
        const Node& node = graph_.node(user);
        const bool goes_on =
            node.op == Op::Mul || family(node.op) == "unary" || moves_one(graph_, node);
        if (goes_on) add(node.outputs[0]);
      }
    }
  }

  [[nodiscard]] bool is_between_layers(const Node& node) const {
    return is_elementwise(node.op) || node.op == Op::Split || moves_one(graph_, node);
  }

  const Graph& graph_;
  std::vector<bool> is_state_;
  std::vector<ValueId> pending_;
};

}  // namespace

std::vector<bool> residual_streams(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  std::vector<bool> normalized(graph.value_count(), false);
  std::vector<bool> stream(graph.value_count(), false);
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const Node& node = graph.node(*id);
    if (node.op == Op::LayerNorm || node.op == Op::RmsNorm || centres(graph, node))
      normalized[node.inputs[0]] = true;
    if (moves_one(graph, node) && normalized[node.outputs[0]]) normalized[node.inputs[0]] = true;
  }
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const Node& node = graph.node(*id);
    if (adds_computed(graph, node) && normalized[node.outputs[0]]) {
      stream[node.outputs[0]] = true;
      for (const ValueId input : node.inputs) stream[input] = true;
    }
    if (moves_one(graph, node) && stream[node.outputs[0]]) stream[node.inputs[0]] = true;
  }
  // The arithmetic of a norm: the differences from the mean and their squares.
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (!centres(graph, node) || !stream[node.inputs[0]]) continue;
    const ValueId centred = node.outputs[0];
    stream[centred] = true;
    for (const NodeId user : graph.users(centred)) {
      if (is_square(graph.node(user), centred)) stream[graph.node(user).outputs[0]] = true;
    }
  }
  return stream;
}

std::vector<bool> recurrent_states(const Graph& graph) { return Cells(graph).run(); }

}  // namespace enn

#include "partitioner/partitioner.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "ops/common.hpp"
#include "ops/import.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

// A node's level counts how often the longest chain of its producers has passed from the engine to
// others and back. Nodes of one level form one partition: no path leaves a level and returns to it,
// so no partition depends on itself through the rest.
class Levels {
 public:
  Levels(const Graph& graph, const Partitioning& result) : graph_(graph), result_(result) {
    level_.assign(graph.node_count(), -1);
    floating_.assign(graph.node_count(), false);
    readers_.resize(graph.node_count());
    for (const NodeId id : graph.order()) {
      for (const NodeId producer : producers(id)) readers_[producer].push_back(id);
    }
  }

  // By node; -1 for what is left to others behind nothing that is taken.
  std::vector<int> assign() && {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId id : order) assign_forward(id);
    // A constant expression computes nothing at run time, and a dequantize is cheaper than the
    // floats it would pass on: both belong to the partition that reads them.
    for (auto it = order.rbegin(); it != order.rend(); ++it) pull_to_users(*it);
    return std::move(level_);
  }

 private:
  // Also of what the node does not read: in the program each comes before it.
  [[nodiscard]] std::vector<NodeId> producers(NodeId id) const {
    const Node& node = graph_.node(id);
    std::vector<NodeId> result;
    const auto add = [&](ValueId value) {
      if (value != kNone && graph_.value(value).producer != kNone)
        result.push_back(graph_.value(value).producer);
    };
    std::ranges::for_each(node.inputs, add);
    for (const std::int64_t value : node.attrs.integers(kUnreadOperands))
      add(static_cast<ValueId>(value));
    return result;
  }

  [[nodiscard]] bool taken(NodeId id) const { return result_.nodes[id].reason.empty(); }

  void assign_forward(NodeId id) {
    const Node& node = graph_.node(id);
    bool constant = std::ranges::all_of(node.inputs, [&](ValueId input) {
      return input == kNone || graph_.value(input).producer != kNone ||
             graph_.value(input).is_constant();
    });
    for (const NodeId producer : producers(id)) {
      if (floating_[producer]) continue;
      constant = false;
      const int crossing = taken(id) && !taken(producer) ? 1 : 0;
      level_[id] = std::max(level_[id], level_[producer] + crossing);
    }
    if (!taken(id)) return;
    floating_[id] = constant && has_only_taken_readers(id);
    level_[id] = std::max(level_[id], 0);
  }

  [[nodiscard]] bool has_only_taken_readers(NodeId id) const {
    return std::ranges::all_of(graph_.node(id).outputs,
                               [&](ValueId output) { return !graph_.is_output(output); }) &&
           std::ranges::all_of(readers_[id], [&](NodeId reader) { return taken(reader); });
  }

  void pull_to_users(NodeId id) {
    const bool pulled = floating_[id] || graph_.node(id).op == Op::Dequantize;
    if (!taken(id) || !pulled || !has_only_taken_readers(id)) return;
    std::set<int> readers;
    for (const NodeId reader : readers_[id]) readers.insert(level_[reader]);
    if (readers.empty() || (readers.size() > 1 && !floating_[id])) return;
    level_[id] = *readers.begin();
  }

  const Graph& graph_;
  const Partitioning& result_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<int> level_;
  std::vector<bool> floating_;  // depends on no graph input and is read by taken nodes alone
};

std::vector<int> levels(const Graph& graph, const Partitioning& result) {
  return Levels(graph, result).assign();
}

// Leaves to others what needs a constant that another partition, or what is left to others,
// computes: to its own partition that is an input. Returns whether there was such a node.
bool leave_readers_of_foreign_constants(const Graph& graph, const std::vector<int>& level_of,
                                        Partitioning& result) {
  const auto taken = [&](NodeId id) { return result.nodes[id].reason.empty(); };
  const std::vector<NodeId> order = graph.order();
  Graph seen = graph;  // as the partitions see it
  std::map<ValueId, ValueId> inputs;
  for (const NodeId id : order) {
    if (!taken(id)) continue;
    for (ValueId& input : seen.node(id).inputs) {
      const NodeId producer = input == kNone ? kNone : graph.value(input).producer;
      if (producer == kNone || (taken(producer) && level_of[producer] == level_of[id]) ||
          !is_constant_expression(graph, input)) {
        continue;
      }
      const auto [known, added] = inputs.emplace(input, kNone);
      if (added) known->second = seen.add_input(graph.value(input).name, graph.value(input).type);
      input = known->second;
    }
  }
  if (inputs.empty()) return false;
  bool left = false;
  const Graph& as_seen = seen;
  for (const NodeId id : order) {
    if (!taken(id)) continue;
    if (auto reason = unsupported_reason(as_seen, as_seen.node(id))) {
      result.nodes[id].reason = *std::move(reason);
      left = true;
    }
  }
  return left;
}

// A partition gives tensors only: leaves to others each size that is read outside its partition, or
// by nothing. Returns whether there was one.
bool leave_sizes_read_elsewhere(const Graph& graph, const std::vector<int>& level_of,
                                Partitioning& result) {
  const auto taken = [&](NodeId id) { return result.nodes[id].reason.empty(); };
  const std::vector<NodeId> order = graph.order();
  std::vector<bool> read(graph.node_count(), false);
  std::vector<bool> elsewhere(graph.node_count(), false);
  for (const NodeId id : order) {
    for (const std::int64_t value : graph.node(id).attrs.integers(kUnreadOperands)) {
      const NodeId producer = graph.value(static_cast<ValueId>(value)).producer;
      if (producer == kNone) continue;
      read[producer] = true;
      if (!taken(id) || level_of[id] != level_of[producer]) elsewhere[producer] = true;
    }
  }
  bool left = false;
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (!is_size(node) || !taken(id)) continue;
    if (read[id] && !elsewhere[id] && !graph.is_output(node.outputs.front())) continue;
    result.nodes[id].reason = "it is read outside the partition";
    left = true;
  }
  return left;
}

}  // namespace

Partitioning partition(const Graph& graph) {
  Partitioning result;
  result.nodes.resize(graph.node_count());
  const std::vector<NodeId> order = graph.order();
  for (const NodeId id : order) {
    if (auto reason = unsupported_reason(graph, graph.node(id))) result.nodes[id].reason = *reason;
  }
  std::vector<int> level_of = levels(graph, result);
  while (leave_readers_of_foreign_constants(graph, level_of, result) ||
         leave_sizes_read_elsewhere(graph, level_of, result)) {
    level_of = levels(graph, result);
  }
  std::vector<int> index_of_level;
  for (const NodeId id : order) {
    if (!result.nodes[id].reason.empty()) {
      if (is_size(graph.node(id))) result.nodes[id].reason.clear();
      continue;
    }
    const auto level = static_cast<std::size_t>(level_of[id]);
    if (level >= index_of_level.size()) index_of_level.resize(level + 1, -1);
    if (index_of_level[level] < 0) index_of_level[level] = result.count++;
    result.nodes[id].partition = index_of_level[level];
  }
  return result;
}

}  // namespace enn

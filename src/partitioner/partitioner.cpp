#include "partitioner/partitioner.hpp"

#include <algorithm>
#include <set>

#include "ops/import.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

// A node's level counts how often the longest chain of its producers has passed from the engine to
// others and back. Nodes of one level form one partition: no path leaves a level and returns to it,
// so no partition depends on itself through the rest.
class Levels {
 public:
  Levels(const Graph& graph, Partitioning& result) : graph_(graph), result_(result) {
    level_.assign(graph.node_count(), -1);
    floating_.assign(graph.node_count(), false);
    copies_.resize(graph.node_count());
    readers_.resize(graph.node_count());
    for (const NodeId id : graph.order()) {
      for (const NodeId producer : producers(id)) readers_[producer].push_back(id);
    }
  }

  void assign() {
    const std::vector<NodeId> order = graph_.order();
    for (const NodeId id : order) assign_forward(id);
    // A constant expression computes nothing at run time, and a dequantize is cheaper than the
    // floats it would pass on: both belong to the partition that reads them.
    for (auto it = order.rbegin(); it != order.rend(); ++it) pull_to_users(*it);
  }

  [[nodiscard]] int level(NodeId id) const { return level_[id]; }
  [[nodiscard]] const std::set<int>& copies(NodeId id) const { return copies_[id]; }

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
    for (const NodeId reader : readers_[id]) {
      readers.insert(level_[reader]);
      readers.insert(copies_[reader].begin(), copies_[reader].end());
    }
    if (readers.empty() || (readers.size() > 1 && !floating_[id])) return;
    level_[id] = *readers.begin();
    readers.erase(readers.begin());
    copies_[id] = std::move(readers);
  }

  const Graph& graph_;
  Partitioning& result_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<int> level_;
  std::vector<bool> floating_;         // depends on no graph input and is read by taken nodes alone
  std::vector<std::set<int>> copies_;  // further levels that read a floating node
};

}  // namespace

Partitioning partition(const Graph& graph) {
  Partitioning result;
  result.nodes.resize(graph.node_count());
  const std::vector<NodeId> order = graph.order();
  for (const NodeId id : order) {
    if (auto reason = unsupported_reason(graph, graph.node(id))) result.nodes[id].reason = *reason;
  }
  Levels levels(graph, result);
  levels.assign();
  std::vector<int> index_of_level;
  for (const NodeId id : order) {
    if (!result.nodes[id].reason.empty()) continue;
    const auto level = static_cast<std::size_t>(levels.level(id));
    if (level >= index_of_level.size()) index_of_level.resize(level + 1, -1);
    if (index_of_level[level] < 0) index_of_level[level] = result.count++;
    result.nodes[id].partition = index_of_level[level];
  }
  // A copy serves a node that is taken, so its level has an index by now.
  for (const NodeId id : order) {
    for (const int level : levels.copies(id)) {
      result.nodes[id].copies.push_back(index_of_level[static_cast<std::size_t>(level)]);
    }
  }
  return result;
}

}  // namespace enn

#include "partitioner/explain.hpp"

#include <set>

#include "ops/common.hpp"

namespace enn {
namespace {

std::string listed(const std::set<int>& partitions) {
  std::string out;
  for (const int partition : partitions) out += (out.empty() ? "" : ", ") + str(partition);
  return out;
}

std::string advice_for(const Graph& graph, const Node& node) {
  if (auto left = left_to_others(graph, node)) return std::move(left->advice);
  if (node.op == Op::Unknown) {
    return "write it with operators of docs/operators.md; until then ExecuTorch's own kernels run "
           "it";
  }
  for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      if (id != kNone && graph.value(id).type.dtype == DType::Float16)
        return "convert it to float32";
    }
  }
  return "write the call in a form for which the reason does not hold";
}

class Explainer {
 public:
  Explainer(const Graph& graph, const Partitioning& partitioning)
      : graph_(graph), partitioning_(partitioning) {}

  std::vector<Explanation> run() {
    for (const ValueId id : graph_.inputs()) explain_value(id, "input");
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      if (graph_.value(id).is_constant()) explain_value(id, "constant");
    }
    for (const NodeId id : graph_.order()) {
      if (!is_internal(graph_.node(id))) explain_node(id);
    }
    return std::move(rows_);
  }

 private:
  void explain_value(ValueId id, const char* kind) {
    std::set<int> readers;
    for (const NodeId user : graph_.users(id)) {
      readers.insert(partitioning_.nodes[user].partition);
    }
    if (readers.empty() && !graph_.is_output(id)) return;
    const bool outside = readers.erase(-1) > 0 || graph_.is_output(id);
    const bool constant = graph_.value(id).is_constant();
    Explanation row{.kind = kind, .name = graph_.value(id).name};
    if (!readers.empty()) row.details = {{"partition", listed(readers)}};
    if (readers.empty()) {
      row.decision = "left out";
      row.reason = "no operator of the engine reads it";
    } else {
      row.decision = constant ? "delegated" : "passed in";
      if (outside) row.details.emplace_back("also read", "outside");
    }
    rows_.push_back(std::move(row));
  }

  void explain_node(NodeId id) {
    const Node& node = graph_.node(id);
    const NodeDecision& decision = partitioning_.nodes[id];
    Explanation row{.kind = "node",
                    .name = node.name,
                    .operator_name = node.target,
                    .source = node.origin.source,
                    .module_path = module_path(node.origin)};
    if (decision.partition >= 0) {
      row.decision = "delegated";
      row.details = {{"partition", str(decision.partition)}};
    } else {
      row.decision = "left out";
      row.reason = decision.reason;
      row.advice = advice_for(graph_, node);
    }
    const Explanation whole = row;
    rows_.push_back(std::move(row));
    if (node.outputs.size() == 1) return;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId part = node.outputs[i];
      if (graph_.users(part).empty() && !graph_.is_output(part)) continue;
      Explanation part_row = whole;
      part_row.kind = "part";
      part_row.name = str(node.name, "[", i, "]");
      part_row.operator_name = "getitem";
      if (!part_row.reason.empty()) part_row.reason = "it goes with " + node.name;
      part_row.advice.clear();
      rows_.push_back(std::move(part_row));
    }
  }

  const Graph& graph_;
  const Partitioning& partitioning_;
  std::vector<Explanation> rows_;
};

}  // namespace

std::vector<Explanation> explain(const Graph& graph, const Partitioning& partitioning) {
  return Explainer(graph, partitioning).run();
}

}  // namespace enn

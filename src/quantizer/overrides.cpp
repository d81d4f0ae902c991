#include "quantizer/overrides.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/regex.hpp"
#include "ops/common.hpp"
#include "ops/fusion.hpp"
#include "ops/import.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

using Edge = std::pair<ValueId, NodeId>;

// The edges and values that have a spec.
std::set<Edge> annotated_edges(const Graph& graph, const Annotations& annotations) {
  std::set<Edge> edges;
  for (const ValueId id : graph.inputs()) {
    if (annotations.input(id)) edges.emplace(id, kNone);
  }
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    const Annotation& annotation = *annotations.node(id);
    for (const auto& [value, spec] : annotation.inputs) edges.emplace(value, id);
    if (annotation.output) edges.emplace(graph.node(id).outputs.front(), kNone);
  }
  return edges;
}

// For each node, the one before it in a fused chain, or kNone.
std::vector<NodeId> fused_predecessors(const Graph& graph, const Annotations& annotations) {
  std::vector<NodeId> before(graph.node_count(), kNone);
  for (const NodeId id : graph.order()) {
    NodeId last = id;
    for (const NodeId follower : fused_with(graph, annotations, id)) {
      if (before[follower] == kNone) before[follower] = last;
      last = follower;
    }
  }
  return before;
}

}  // namespace

std::vector<NodeId> fused_with(const Graph& graph, const Annotations& annotations, NodeId node) {
  std::vector<NodeId> nodes = fused_followers(graph, node);
  const auto& last = annotations.node(nodes.empty() ? node : nodes.back());
  if (!last || last->output) return nodes;
  auto sum = residual_sum_of(graph, node);
  if (!sum) sum = affine_sum_of(graph, node);
  if (sum) nodes.push_back(sum->sum);
  return nodes;
}

bool is_operator(const Node& node, std::string_view op) {
  return to_string(node.op) == op || node.target == op;
}

Status check_operator(std::string_view name) {
  if (op_from_string(name)) return {};
  const std::vector<OverloadInfo> known = overloads();
  const bool listed = std::any_of(known.begin(), known.end(), [&](const OverloadInfo& overload) {
    return overload.target == name;
  });
  if (listed) return {};
  return error(Code::InvalidArgument, "operator '", printable(name),
               "' is not known; docs/operators.md lists the overloads");
}

ModuleSelector module_selector(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {text, {}};
  if (text.starts_with(kRegexPrefix) && colon < kRegexPrefix.size()) return {text, {}};
  const std::string_view op = text.substr(colon + 1);
  if (!check_operator(op).ok()) return {text, {}};
  return {text.substr(0, colon), op};
}

bool is_selected(const Node& node, std::string_view text) {
  const ModuleSelector selector = module_selector(text);
  return (selector.op.empty() || is_operator(node, selector.op)) &&
         in_module(node.origin, selector.module);
}

void clear_excluded(const Graph& graph, const QuantizationConfig& config,
                    Annotations& annotations) {
  const std::vector<NodeId> before = fused_predecessors(graph, annotations);
  std::vector<NodeId> order = graph.order();
  bool any = false;
  // From the last to the first: an output moves up a chain until a node keeps it.
  std::reverse(order.begin(), order.end());
  for (const NodeId id : order) {
    if (annotations.excluded_by(id).empty()) continue;
    any = true;
    if (!annotations.annotated(id)) continue;
    const Annotation lost = *annotations.node(id);
    annotations.clear(id);
    const NodeId previous = before[id];
    if (previous == kNone || !annotations.annotated(previous) || !lost.output) continue;
    Annotation kept = *annotations.node(previous);
    if (!kept.output) kept.output = lost.output;
    annotations.set(previous, std::move(kept));
  }
  if (!any) return;
  const std::set<Edge> edges = annotated_edges(graph, annotations);
  const auto repair = [&](Spec& spec) {
    const auto* shared = std::get_if<SharedSpec>(&spec);
    if (shared != nullptr && !edges.contains({shared->value, shared->consumer})) {
      spec = config.activation;
    }
  };
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    Annotation annotation = *annotations.node(id);
    for (auto& [value, spec] : annotation.inputs) repair(spec);
    if (annotation.output) repair(*annotation.output);
    annotations.set(id, std::move(annotation));
  }
}

void choose_observers(
    const Graph& graph,
    const std::function<std::optional<Observer>(const Node* node, std::string_view name)>&
        observer_of,
    Annotations& annotations) {
  const std::vector<NodeId> before = fused_predecessors(graph, annotations);
  const auto choose = [&](ValueId id, Spec& spec) {
    auto* observed = std::get_if<QuantizationSpec>(&spec);
    const Value& value = graph.value(id);
    if (observed == nullptr || value.is_constant()) return;
    std::optional<Observer> chosen;
    for (NodeId node = value.producer; node != kNone && !chosen; node = before[node]) {
      chosen = observer_of(&graph.node(node), graph.node(node).name);
    }
    if (value.producer == kNone) chosen = observer_of(nullptr, value.name);
    if (chosen) observed->observer = *chosen;
  };
  for (const ValueId id : graph.inputs()) {
    if (!annotations.input(id)) continue;
    Spec spec = *annotations.input(id);
    choose(id, spec);
    annotations.set_input(id, spec);
  }
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    Annotation annotation = *annotations.node(id);
    for (auto& [value, spec] : annotation.inputs) choose(value, spec);
    if (annotation.output) choose(graph.node(id).outputs.front(), *annotation.output);
    annotations.set(id, std::move(annotation));
  }
}

}  // namespace enn

#include "quantizer/fixed_results.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace enn {

void read_fixed_results_once(const Graph& graph, Annotations& annotations) {
  std::vector<std::optional<FixedQParamsSpec>> fixed(graph.value_count());
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.outputs.empty()) continue;
    std::optional<FixedQParamsSpec>& result = fixed[node.outputs[0]];
    if (!annotations.annotated(id)) {
      if (node.op == Op::Identity) result = fixed[node.inputs[0]];
      continue;
    }
    Annotation annotation = *annotations.node(id);
    if (annotation.inputs.empty()) {
      if (annotation.output && std::holds_alternative<FixedQParamsSpec>(*annotation.output))
        result = std::get<FixedQParamsSpec>(*annotation.output);
      continue;
    }
    const bool joins = annotation.shares();
    const auto& first = fixed[annotation.inputs[0].first];
    const bool alike = std::ranges::all_of(
        annotation.inputs, [&](const auto& input) { return fixed[input.first] == first; });
    for (auto& [value, spec] : annotation.inputs) {
      if (fixed[value] && (!joins || alike)) spec = *fixed[value];
    }
    if (joins && alike) {
      result = first;
    } else if (annotation.output && std::holds_alternative<FixedQParamsSpec>(*annotation.output)) {
      result = std::get<FixedQParamsSpec>(*annotation.output);
    }
    annotations.set(id, std::move(annotation));
  }
}

}  // namespace enn

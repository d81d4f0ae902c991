#include <array>

#include "ops/common.hpp"
#include "ops/conv/conv.hpp"

namespace enn {

std::optional<std::string> support_linear(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  if (auto reason = parameters_reason(graph, node)) return reason;
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  return std::nullopt;
}

Traits traits_linear(const Graph&, const Node&) {
  return {LayoutRule::Contiguous, QuantizedForm::Computes, 2};
}

}  // namespace enn

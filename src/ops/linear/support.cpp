#include <array>

#include "ops/common.hpp"

namespace enn {

std::optional<std::string> support_linear(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != kNone && !is_constant_expression(graph, node.inputs[i])) {
      return str("its ", i == 1 ? "weight" : "bias", " is computed at run time");
    }
  }
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  return std::nullopt;
}

Traits traits_linear(const Graph&, const Node&) {
  return {LayoutRule::Contiguous, QuantizedForm::Computes, 2};
}

}  // namespace enn

#include <array>

#include "ops/common.hpp"

namespace enn {

std::optional<std::string> support_conv(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  const std::size_t spatial = graph.value(node.inputs[1]).type.shape.size() - 2;
  if (spatial > 2) return str(spatial, "-d convolution is not taken, only 1-d and 2-d");
  if (numel(graph.value(node.inputs[0]).type.shape) == 0 ||
      numel(graph.value(node.inputs[1]).type.shape) == 0) {
    return "its input or its weight is empty";
  }
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != kNone && !is_constant_expression(graph, node.inputs[i])) {
      return str("its ", i == 1 ? "weight" : "bias", " is computed at run time");
    }
  }
  return std::nullopt;
}

Traits traits_conv(const Graph&, const Node&) {
  return {LayoutRule::ChannelsLast, QuantizedForm::Computes, 2};
}

}  // namespace enn

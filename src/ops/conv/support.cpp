#include <array>

#include "ops/common.hpp"

namespace enn {

std::optional<std::string> support_conv(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  if (node.attrs.boolean("transposed")) return "transposed convolution is not taken";
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  if ((rank != 3 && rank != 4) || graph.value(node.inputs[1]).type.shape.size() != rank) {
    return str("its input has rank ", rank,
               "; only 1-d and 2-d convolution of a batch (rank 3 and 4) are taken");
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

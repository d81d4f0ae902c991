#include <array>

#include "ops/common.hpp"
#include "ops/conv/conv.hpp"

namespace enn {

std::optional<std::string> weight_reason(const Graph& graph, const Node& node) {
  const std::size_t rank = graph.value(node.inputs[1]).type.shape.size();
  if (rank > 4) return str(rank - 2, "-d convolution is not taken, only 1-d and 2-d");
  if (!is_constant_expression(graph, node.inputs[1])) return "its weight is computed at run time";
  return std::nullopt;
}

std::optional<std::string> parameters_reason(const Graph& graph, const Node& node) {
  if (auto reason = weight_reason(graph, node)) return reason;
  const ValueId bias = node.inputs[2];
  if (bias != kNone && !is_constant_expression(graph, bias))
    return "its bias is computed at run time";
  return std::nullopt;
}

std::vector<double> output_scale(const Node& node) {
  const AttributeValue* found = node.attrs.find("output_scale");
  const auto* factors = found != nullptr ? std::get_if<std::vector<double>>(found) : nullptr;
  return factors != nullptr ? *factors : std::vector<double>{};
}

std::optional<std::string> support_conv(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  if (numel(graph.value(node.inputs[0]).type.shape) == 0 ||
      numel(graph.value(node.inputs[1]).type.shape) == 0) {
    return "its input or its weight is empty";
  }
  return parameters_reason(graph, node);
}

Traits traits_conv(const Graph&, const Node&) {
  return {LayoutRule::ChannelsLast, QuantizedForm::Computes, 2};
}

}  // namespace enn

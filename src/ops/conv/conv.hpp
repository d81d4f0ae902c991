// What convolutions and linear layers ask of their weights and biases.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.hpp"

namespace enn {

// Why neither a float nor an 8-bit kernel takes the weight of `node`: its rank, or that its values
// are computed at run time. Of input 1 of a convolution or linear layer.
[[nodiscard]] std::optional<std::string> weight_reason(const Graph& graph, const Node& node);
// That, or that the bias is computed at run time.
[[nodiscard]] std::optional<std::string> parameters_reason(const Graph& graph, const Node& node);

}  // namespace enn

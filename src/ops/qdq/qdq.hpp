#pragma once

#include "ir/graph.hpp"

namespace enn {

// The quantization that a Quantize or Dequantize node states. An error when per-channel parameters
// are not constants.
[[nodiscard]] Result<QuantParams> quant_params(const Graph& graph, const Node& node);

}  // namespace enn

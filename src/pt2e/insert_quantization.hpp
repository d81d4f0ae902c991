#pragma once

#include <span>

#include "pt2e/placement.hpp"

namespace enn {

// The graph with a quantize and a dequantize in the place of each site: one dequantize for each
// annotated node that reads it, one for all others together. Constants that are quantized as they
// stand become 8-bit constants. `params` has one entry per group. What is in `graph` keeps its ids.
[[nodiscard]] Result<Graph> insert_quantization(const Graph& graph, const Annotations& annotations,
                                                const Placement& placement,
                                                std::span<const QuantParams> params);

// The element type of the integers of a group.
[[nodiscard]] DType integer_type(const GroupSpec& spec);

}  // namespace enn

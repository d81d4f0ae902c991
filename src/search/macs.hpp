// Multiply-adds.
#pragma once

#include <cstdint>

#include "ir/graph.hpp"

namespace enn {

// Of a node. Padding counts, as is usual.
[[nodiscard]] std::uint64_t macs_of(const Graph& graph, const Node& node);

struct MacCount {
  std::uint64_t all = 0;
  std::uint64_t in_float = 0;  // of nodes whose operands are not all quantized
};
[[nodiscard]] MacCount count_macs(const Graph& quantized);

}  // namespace enn

#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "ir/graph.hpp"

namespace enn {

// First and last reduced dimension in memory when, in the given layout of an operand of `rank`,
// they are neighbours and the remaining ones keep their logical order; nullopt otherwise.
[[nodiscard]] std::optional<std::pair<std::uint32_t, std::uint32_t>> reduced_range(const Node& node,
                                                                                   std::size_t rank,
                                                                                   Layout layout);

}  // namespace enn

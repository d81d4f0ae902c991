#pragma once

#include <cstddef>
#include <span>

#include "enn/parallel.hpp"
#include "enn/result.hpp"

namespace enn::testing {

// What a program of a stranger gets here: enough for the test programs, little enough that no
// mutation of them runs for long.
inline constexpr std::size_t kMemoryLimit = std::size_t{8} << 20U;

// Loads the payload and, if it is taken, runs it on buffers of exactly the announced sizes filled
// from `fill`. Inputs above the memory limit are not run. Ok when the program was taken.
[[nodiscard]] Status load_and_run(std::span<const std::byte> payload, unsigned fill,
                                  Parallel& parallel);

}  // namespace enn::testing

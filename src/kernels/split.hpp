// Splitting work between threads. How it is split never changes a result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "enn/parallel.hpp"

namespace enn {

[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}
[[nodiscard]] constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

// Start of part `index` when [0, count) is cut into `parts` parts whose sizes differ by at most
// one.
[[nodiscard]] constexpr std::int64_t part_begin(std::int64_t count, std::int64_t parts,
                                                std::int64_t index) {
  return count / parts * index + std::min(count % parts, index);
}

// Operations (multiplications, or bytes moved) that are worth waking another thread for.
inline constexpr std::int64_t kGrain = 1 << 15;

// One part for each thread that is worth waking, for work that keeps a partial result per part.
[[nodiscard]] constexpr std::int64_t part_count(std::int64_t count, std::int64_t item_cost,
                                                std::int64_t threads) {
  return std::clamp<std::int64_t>(count * item_cost / kGrain, 1, threads);
}

// Calls body(begin, end) for parts that cover [0, count); one item costs about `item_cost`
// operations.
template <typename Body>
void split(Parallel& parallel, std::int64_t count, std::int64_t item_cost, const Body& body) {
  const std::int64_t work = std::max<std::int64_t>(count * std::max<std::int64_t>(item_cost, 1), 1);
  const std::int64_t threads = parallel.thread_count();
  const std::int64_t parts =
      threads == 1 ? 1 : std::min({count, ceil_div(work, kGrain), 4 * threads});
  if (parts <= 1) {
    if (count > 0) body(std::int64_t{0}, count);
    return;
  }
  auto task = [&](int index) {
    body(part_begin(count, parts, index), part_begin(count, parts, index + 1));
  };
  parallel.run(static_cast<int>(parts), task);
}

}  // namespace enn

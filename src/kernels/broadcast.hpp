// Loop nests over operands that broadcast as NumPy's do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/split.hpp"

namespace enn {

// `shape` is the result's with dimensions merged where all operands allow it, never empty. Strides
// are in elements, one list per operand, 0 where it repeats; the innermost ones are 0 or 1.
struct BroadcastPlan {
  std::vector<std::int64_t> shape;
  std::vector<std::vector<std::int64_t>> strides;

  // 0 or 1 element: how operand k moves along a run.
  [[nodiscard]] std::int64_t step(std::size_t k) const { return strides[k].back(); }
};

// NumPy's rule: from the last dimension backwards, sizes are equal or the operand's is 1.
[[nodiscard]] bool broadcasts_to(const std::vector<std::int64_t>& shape,
                                 const std::vector<std::int64_t>& out);

// Precondition: every operand broadcasts to `out`.
[[nodiscard]] BroadcastPlan plan_broadcast(std::span<const std::vector<std::int64_t>> operands,
                                           const std::vector<std::int64_t>& out);

// Calls body(offsets, out, n) for runs of n consecutive results that cover the whole: operand k
// begins at offsets[k] and moves by plan.step(k), the result begins at `out`. An item costs
// `item_cost` operations.
template <std::size_t kOperands, typename Body>
void for_each_run(const BroadcastPlan& plan, std::int64_t item_cost, Parallel& parallel,
                  const Body& body) {
  const std::size_t outer_rank = plan.shape.size() - 1;
  const std::int64_t run = plan.shape.back();
  std::int64_t outer = 1;
  for (std::size_t d = 0; d < outer_rank; ++d) outer *= plan.shape[d];
  const std::int64_t pieces = outer == 1 ? ceil_div(run, 4096) : 1;
  const std::int64_t cost = ceil_div(run, pieces) * item_cost;
  split(parallel, outer * pieces, cost, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::int64_t, kOperands> offsets{};
    if (outer == 1) {
      const std::int64_t first = part_begin(run, pieces, begin);
      for (std::size_t k = 0; k < kOperands; ++k) offsets[k] = first * plan.step(k);
      body(offsets, first, part_begin(run, pieces, end) - first);
      return;
    }
    for (std::int64_t i = begin; i < end; ++i) {
      offsets.fill(0);
      std::int64_t rest = i;
      for (std::size_t d = outer_rank; d-- > 0;) {
        const std::int64_t index = rest % plan.shape[d];
        rest /= plan.shape[d];
        for (std::size_t k = 0; k < kOperands; ++k) offsets[k] += index * plan.strides[k][d];
      }
      body(offsets, i * run, run);
    }
  });
}

}  // namespace enn

// Running a block kernel over a permuted tensor, on all threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/copy/copy.hpp"
#include "kernels/split.hpp"

namespace enn {

// Calls run(block, input offset, output offset) for pieces that cover the permutation; offsets are
// in elements.
template <typename Run>
void for_each_block(const PermutePlan& plan, Parallel& parallel, const Run& run) {
  const Block& whole = plan.block;
  // A single run of consecutive elements is cut by columns, everything else by rows.
  const bool by_columns = whole.rows == 1;
  const std::int64_t length = by_columns ? whole.columns : whole.rows;
  const std::int64_t parts = std::clamp<std::int64_t>(length / (by_columns ? 4096 : 32), 1, 64);
  const std::int64_t size = whole.rows * whole.columns;
  split(parallel, plan.outer_count * parts, size / parts,
        [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end;) {
            const std::int64_t outer = i / parts;
            const std::int64_t last = std::min(end, (outer + 1) * parts);
            const std::int64_t from = part_begin(length, parts, i - outer * parts);
            const std::int64_t to = part_begin(length, parts, last - outer * parts);
            Block piece = whole;
            (by_columns ? piece.columns : piece.rows) = to - from;
            run(piece,
                plan.input_offset(outer) +
                    from * (by_columns ? whole.column_stride : whole.row_stride),
                outer * size + from * (by_columns ? 1 : whole.columns));
            i = last;
          }
        });
}

}  // namespace enn

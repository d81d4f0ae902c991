// Moving elements: permuted copies and concatenation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace enn {

// A block of a permuted tensor. Element (i, j) of the result lies at out + i * columns + j, element
// (i, j) of the input at in + i * row_stride + j * column_stride. Strides are in elements.
struct Block {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
};

// A permutation as an outer loop nest over blocks: dimensions of size 1 are dropped and those that
// stay neighbours are merged. Result blocks lie one after the other.
struct PermutePlan {
  std::vector<std::int64_t> outer_shape;    // may be empty
  std::vector<std::int64_t> outer_strides;  // of the input, in elements
  std::int64_t outer_count = 1;
  Block block;

  // Offset in the input of the index-th block, in elements.
  [[nodiscard]] std::int64_t input_offset(std::int64_t index) const noexcept;
};

// Dimension d of the result is dimension perm[d] of the input. Precondition: perm is a permutation.
[[nodiscard]] PermutePlan plan_permute(const std::vector<std::int64_t>& in_shape,
                                       const std::vector<std::uint32_t>& perm);

// A result of `shape` whose element (i0, i1, …) is the input's at sum i_d * strides[d], in elements
// from where the caller points; strides may be 0 or negative.
[[nodiscard]] PermutePlan plan_strided(const std::vector<std::int64_t>& shape,
                                       const std::vector<std::int64_t>& strides);

// Copies one block of elements of `size` bytes, 1, 2, 4 or 8. `in` and `out` may be unaligned.
void copy_block(const Block& block, std::size_t size, const std::byte* in, std::byte* out) noexcept;

}  // namespace enn

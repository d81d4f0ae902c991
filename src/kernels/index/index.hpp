// Reading and writing at places that index tensors give.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace enn {

inline constexpr std::size_t kMaxIndices = 8;
inline constexpr std::size_t kMaxIndexedRank = 8;

// The elements of one index tensor at any alignment: int64 when `wide`, else int32.
struct Indices {
  const std::byte* data = nullptr;
  bool wide = true;

  [[nodiscard]] std::int64_t operator[](std::int64_t at) const noexcept;
};
using IndexList = std::array<Indices, kMaxIndices>;

// A walk p over `shape`, whose place in the indexed tensor is the run of `row` elements from
// sum_d p_d * strides[d] + sum_k i_k * steps[k], where i_k is element sum_d p_d *
// index_strides[k][d] of index tensor k, counted from sizes[k] when negative. In elements; the rank
// is at most kMaxIndexedRank.
struct IndexPlan {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> source_strides;  // of what a scatter writes
  std::vector<std::vector<std::int64_t>> index_strides;
  std::vector<std::int64_t> steps;
  std::vector<std::int64_t> sizes;
  std::int64_t count = 1;  // places
  std::int64_t row = 1;
};

// Completes a plan whose last dimensions are walked element by element on both sides: they become
// its rows. A gather's plan has no source strides: its result is dense.
void merge_rows(IndexPlan& plan);

// The first of `count` indices outside [-size, size).
[[nodiscard]] std::optional<std::int64_t> index_outside(const Indices& indices, std::int64_t count,
                                                        std::int64_t size) noexcept;

// The places [begin, end) of the walk, in row-major order, from `in` to their places in the dense
// `out`. Elements have `size` bytes. Precondition: every index lies in its range.
void gather_rows(const IndexPlan& plan, const IndexList& indices, std::size_t size,
                 const std::byte* in, std::byte* out, std::int64_t begin,
                 std::int64_t end) noexcept;

// All places of the walk, in row-major order, from `source` to their places in `out`; the last one
// that is written to a place stays.
void scatter_rows(const IndexPlan& plan, const IndexList& indices, std::size_t size,
                  const std::byte* source, std::byte* out) noexcept;

// As scatter_rows, adding one after the other. T is float, std::int32_t or std::int64_t; integers
// wrap around.
template <typename T>
void scatter_add_rows(const IndexPlan& plan, const IndexList& indices, const std::byte* source,
                      std::byte* out) noexcept;

}  // namespace enn

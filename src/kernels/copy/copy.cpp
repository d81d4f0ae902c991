#include "kernels/copy/copy.hpp"

#include <algorithm>
#include <cstring>

namespace enn {
namespace {

// Rows and columns of a tile whose input and output both stay in the first-level cache.
constexpr std::int64_t kTile = 32;

template <std::size_t kSize>
void copy_elements(const Block& block, const std::byte* in, std::byte* out) noexcept {
  constexpr auto kBytes = static_cast<std::int64_t>(kSize);
  for (std::int64_t i0 = 0; i0 < block.rows; i0 += kTile) {
    const std::int64_t i1 = std::min(block.rows, i0 + kTile);
    for (std::int64_t j0 = 0; j0 < block.columns; j0 += kTile) {
      const std::int64_t j1 = std::min(block.columns, j0 + kTile);
      for (std::int64_t i = i0; i < i1; ++i) {
        for (std::int64_t j = j0; j < j1; ++j) {
          std::memcpy(out + (i * block.columns + j) * kBytes,
                      in + (i * block.row_stride + j * block.column_stride) * kBytes, kSize);
        }
      }
    }
  }
}

}  // namespace

std::int64_t PermutePlan::input_offset(std::int64_t index) const noexcept {
  std::int64_t offset = 0;
  for (std::size_t d = outer_shape.size(); d-- > 0;) {
    offset += index % outer_shape[d] * outer_strides[d];
    index /= outer_shape[d];
  }
  return offset;
}

PermutePlan plan_permute(const std::vector<std::int64_t>& in_shape,
                         const std::vector<std::uint32_t>& perm) {
  std::vector<std::int64_t> in_strides(in_shape.size(), 1);
  for (std::size_t d = in_shape.size(); d-- > 1;) in_strides[d - 1] = in_strides[d] * in_shape[d];
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  for (const std::uint32_t d : perm) {
    shape.push_back(in_shape[d]);
    strides.push_back(in_strides[d]);
  }
  return plan_strided(shape, strides);
}

PermutePlan plan_strided(const std::vector<std::int64_t>& shape,
                         const std::vector<std::int64_t>& strides) {
  PermutePlan plan;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    auto& merged = plan.outer_shape;
    if (!merged.empty() && plan.outer_strides.back() == shape[d] * strides[d]) {
      merged.back() *= shape[d];
      plan.outer_strides.back() = strides[d];
    } else {
      merged.push_back(shape[d]);
      plan.outer_strides.push_back(strides[d]);
    }
  }
  const auto take_innermost = [&](std::int64_t& size, std::int64_t& stride) {
    if (plan.outer_shape.empty()) return;
    size = plan.outer_shape.back();
    stride = plan.outer_strides.back();
    plan.outer_shape.pop_back();
    plan.outer_strides.pop_back();
  };
  take_innermost(plan.block.columns, plan.block.column_stride);
  take_innermost(plan.block.rows, plan.block.row_stride);
  for (const std::int64_t size : plan.outer_shape) plan.outer_count *= size;
  return plan;
}

void copy_block(const Block& block, std::size_t size, const std::byte* in,
                std::byte* out) noexcept {
  if (block.column_stride == 1) {
    const auto bytes = static_cast<std::int64_t>(size);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      std::memcpy(out + i * block.columns * bytes, in + i * block.row_stride * bytes,
                  static_cast<std::size_t>(block.columns) * size);
    }
    return;
  }
  switch (size) {
    case 1:
      return copy_elements<1>(block, in, out);
    case 2:
      return copy_elements<2>(block, in, out);
    case 4:
      return copy_elements<4>(block, in, out);
    default:
      return copy_elements<8>(block, in, out);
  }
}

}  // namespace enn

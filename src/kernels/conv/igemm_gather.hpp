// The loop over taps that every gather shares. Included by ISA sources; Row is a type of theirs in
// an anonymous namespace, so each instantiation is private to its file.
#pragma once

#include "kernels/conv/igemm.hpp"

namespace enn {

// Row has: Row(const IgemmGather&, std::byte* begin), copy(const std::uint8_t* from, std::int64_t
// n), pad(std::int64_t n) and finish(), which appends the zeros and gives the sum of the row's
// bytes.
template <typename Row>
inline void gather_rows(const IgemmGather& from, std::int64_t first, std::int64_t count,
                        std::byte* rows, std::int64_t row_stride, std::int32_t* row_sums) {
  const ConvGeometry& g = from.geometry;
  const std::int64_t cg = g.in_c / g.groups;
  // Taps of one kernel row are neighbours in memory.
  const bool dense = g.dilation_w == 1 && g.groups == 1;
  std::int64_t q = first % g.out_w;
  std::int64_t p = first / g.out_w % g.out_h;
  std::int64_t n = first / g.out_w / g.out_h;
  for (std::int64_t i = 0; i < count; ++i) {
    Row row(from, rows + i * row_stride);
    const std::int64_t w0 = q * g.stride_w - g.pad_left;
    for (std::int64_t r = 0; r < g.kernel_h; ++r) {
      const std::int64_t h = p * g.stride_h - g.pad_top + r * g.dilation_h;
      if (h < 0 || h >= g.in_h) {
        row.pad(g.kernel_w * cg);
        continue;
      }
      const std::uint8_t* line = from.input + (n * g.in_h + h) * g.in_w * g.in_c + from.channel;
      if (dense) {
        const std::int64_t left = w0 >= 0 ? 0 : (-w0 < g.kernel_w ? -w0 : g.kernel_w);
        std::int64_t right = w0 + g.kernel_w - g.in_w;
        right = right < 0 ? 0 : (right < g.kernel_w - left ? right : g.kernel_w - left);
        const std::int64_t inside = g.kernel_w - left - right;
        if (left > 0) row.pad(left * cg);
        if (inside > 0) row.copy(line + (w0 + left) * g.in_c, inside * cg);
        if (right > 0) row.pad(right * cg);
        continue;
      }
      for (std::int64_t s = 0; s < g.kernel_w; ++s) {
        const std::int64_t w = w0 + s * g.dilation_w;
        if (w < 0 || w >= g.in_w) {
          row.pad(cg);
        } else {
          row.copy(line + w * g.in_c, cg);
        }
      }
    }
    row.finish();
    if (row_sums != nullptr) row_sums[i] = row.sum();
    if (++q == g.out_w) {
      q = 0;
      if (++p == g.out_h) {
        p = 0;
        ++n;
      }
    }
  }
}

}  // namespace enn

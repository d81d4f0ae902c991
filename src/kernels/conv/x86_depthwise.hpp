// The depthwise row of the x86 kernels, two taps of 16 channels at a time. Included by ISA sources
// only; Dot, a type of theirs, has dot(acc, x, w) = acc + x[0] * w[0] + x[1] * w[1] in every lane,
// x and w pairs of int16.
#pragma once

#include "kernels/conv/conv_tables.hpp"
#include "kernels/x86_avx2.hpp"

namespace enn {
namespace {

// Two taps of 16 channels, interleaved and widened: channels 0-7 and 8-15.
struct TapPair {
  __m256i low;
  __m256i high;
};

inline TapPair interleave(__m128i first, __m128i second) {
  return {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)),
          _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second))};
}

// One group of 16 channels along the row, kPixels output pixels at a time. kTaps: number of taps
// when known when compiling, else 0. kPartial: the tensor has fewer than 16 channels.
template <typename Dot, int kTaps, int kPixels, bool kPartial>
inline void depthwise_pixels(const DepthwiseRow& row, std::int64_t group, std::int64_t channel,
                             std::int64_t pixel) {
  const std::int64_t taps = kTaps > 0 ? kTaps : row.tap_count;
  const std::int64_t pairs = (taps + 1) / 2;
  const std::int64_t count = kPartial ? row.channels : 16;
  const auto* weights = reinterpret_cast<const __m256i*>(row.weights + group * pairs * 32);
  const auto* init = reinterpret_cast<const __m256i*>(row.init + group * 16);
  const auto load = [&](const std::uint8_t* tap) {
    return kPartial ? load_partial(tap, count)
                    : _mm_loadu_si128(reinterpret_cast<const __m128i*>(tap + channel));
  };
  __m256i acc[static_cast<unsigned>(kPixels)][2];
  const std::uint8_t* const* table[static_cast<unsigned>(kPixels)];
#pragma GCC unroll 8
  for (int i = 0; i < kPixels; ++i) {
    acc[i][0] = _mm256_loadu_si256(init);
    acc[i][1] = _mm256_loadu_si256(init + 1);
    table[i] = row.taps + (pixel + i) * row.tap_step;
  }
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const __m256i w0 = _mm256_loadu_si256(weights + pair * 2);
    const __m256i w1 = _mm256_loadu_si256(weights + pair * 2 + 1);
    // A last single tap is paired with itself; its partner's weights are zero.
    const std::int64_t second = pair * 2 + 1 < taps ? pair * 2 + 1 : pair * 2;
#pragma GCC unroll 8
    for (int i = 0; i < kPixels; ++i) {
      const TapPair x = interleave(load(table[i][pair * 2]), load(table[i][second]));
      acc[i][0] = Dot::dot(acc[i][0], x.low, w0);
      acc[i][1] = Dot::dot(acc[i][1], x.high, w1);
    }
  }
  const __m256 low = _mm256_set1_ps(row.low);
  const __m256 high = _mm256_set1_ps(row.high);
  const __m256i zero_point = _mm256_set1_epi32(row.zero_point);
#pragma GCC unroll 8
  for (int i = 0; i < kPixels; ++i) {
    __m256i q[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __m256 scaled = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[i][v]),
                                            _mm256_loadu_ps(row.multiplier + group * 16 + v * 8),
                                            _mm256_loadu_ps(row.bias + group * 16 + v * 8));
      q[v] = round_and_clamp8(scaled, low, high, zero_point);
    }
    store_partial(row.out + (pixel + i) * row.channels + channel, pack_u8(q[0], q[1]), count);
  }
}

template <typename Dot, int kTaps, bool kPartial>
void depthwise_groups(const DepthwiseRow& row) {
  const std::int64_t groups = (row.channels + 15) / 16;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t last = row.channels - 16;
    const std::int64_t channel = kPartial ? 0 : (group * 16 < last ? group * 16 : last);
    std::int64_t pixel = 0;
    for (; pixel + 2 <= row.pixels; pixel += 2) {
      depthwise_pixels<Dot, kTaps, 2, kPartial>(row, group, channel, pixel);
    }
    if (pixel < row.pixels) depthwise_pixels<Dot, kTaps, 1, kPartial>(row, group, channel, pixel);
  }
}

template <typename Dot>
void depthwise_row(const DepthwiseRow& row) noexcept {
  if (row.channels < 16) return depthwise_groups<Dot, 0, true>(row);
  if (row.tap_count == 9) return depthwise_groups<Dot, 9, false>(row);
  if (row.tap_count == 25) return depthwise_groups<Dot, 25, false>(row);
  depthwise_groups<Dot, 0, false>(row);
}

}  // namespace
}  // namespace enn

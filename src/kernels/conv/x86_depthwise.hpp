// The depthwise row of the x86 kernels, two taps of 32 channels at a time. Included by ISA sources
// only; Dot, a type of theirs, has dot(acc, x, w) = acc + x[0] * w[0] + x[1] * w[1] in every int32
// lane, x and w pairs of int16.
//
// Even and odd channels are widened apart, which stays inside the 128-bit lanes and undoes itself
// when the results are put together again. Accumulator v therefore holds the channels
// kDepthwiseOrder[8 v …].
#pragma once

#include <algorithm>

#include "kernels/conv/conv_tables.hpp"
#include "kernels/conv/x86_epilogue.hpp"
#include "kernels/x86_avx2.hpp"

namespace enn {
namespace {

constexpr std::uint8_t kDepthwiseOrder[32] = {0,  2,  4,  6,  16, 18, 20, 22, 8,  10, 12,
                                              14, 24, 26, 28, 30, 1,  3,  5,  7,  17, 19,
                                              21, 23, 9,  11, 13, 15, 25, 27, 29, 31};

// n bytes at `in`, then zeros; 0 <= n <= 32.
inline __m256i load_channels(const std::uint8_t* in, std::int64_t n) {
  if (n == 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  return _mm256_set_m128i(n > 16 ? load_partial(in + 16, n - 16) : _mm_setzero_si128(),
                          load_partial(in, n < 16 ? n : 16));
}

inline void store_channels(std::uint8_t* out, __m256i bytes, std::int64_t n) {
  if (n == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    return;
  }
  store_partial(out, _mm256_castsi256_si128(bytes), n < 16 ? n : 16);
  if (n > 16) store_partial(out + 16, _mm256_extracti128_si256(bytes, 1), n - 16);
}

// acc[v] += the products of two taps with weights[v].
template <typename Dot>
inline void multiply_add_taps(__m256i* acc, __m256i first, __m256i second, const __m256i* weights) {
  const __m256i mask = _mm256_set1_epi16(255);
  const __m256i even0 = _mm256_and_si256(first, mask);
  const __m256i even1 = _mm256_and_si256(second, mask);
  const __m256i odd0 = _mm256_srli_epi16(first, 8);
  const __m256i odd1 = _mm256_srli_epi16(second, 8);
  acc[0] = Dot::dot(acc[0], _mm256_unpacklo_epi16(even0, even1), _mm256_loadu_si256(weights));
  acc[1] = Dot::dot(acc[1], _mm256_unpackhi_epi16(even0, even1), _mm256_loadu_si256(weights + 1));
  acc[2] = Dot::dot(acc[2], _mm256_unpacklo_epi16(odd0, odd1), _mm256_loadu_si256(weights + 2));
  acc[3] = Dot::dot(acc[3], _mm256_unpackhi_epi16(odd0, odd1), _mm256_loadu_si256(weights + 3));
}

// fma(sum, multiplier, bias) of 32 channels, and residual[v] is what there is to add to acc[v],
// where the row adds any.
inline void depthwise_scale(const DepthwiseRow& row, std::int64_t group, const __m256i* acc,
                            const __m256i* residual, __m256* sums) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    sums[v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[v]),
                              _mm256_loadu_ps(row.multiplier + group * 32 + v * 8),
                              _mm256_loadu_ps(row.bias + group * 32 + v * 8));
    if (residual == nullptr) continue;
    const __m256i centred =
        _mm256_sub_epi32(residual[v], _mm256_set1_epi32(row.residual.zero_point));
    sums[v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(row.residual.multiplier),
                              sums[v]);
  }
}

// The sums of 32 channels rounded, as bytes in their own order. Values far below the range saturate
// in the conversions, values above it are cut before them.
inline __m256i depthwise_round(const DepthwiseRow& row, const __m256* sums) {
  const __m256 high = _mm256_set1_ps(row.high);
  const auto rounded = [&](int v) { return _mm256_cvtps_epi32(_mm256_min_ps(high, sums[v])); };
  const __m256i zero_point = _mm256_set1_epi16(static_cast<std::int16_t>(row.zero_point));
  const __m256i minimum = _mm256_set1_epi16(
      static_cast<std::int16_t>(static_cast<std::int32_t>(row.low) + row.zero_point));
  const auto words = [&](int v) {
    const __m256i packed = _mm256_packs_epi32(rounded(v), rounded(v + 1));
    return _mm256_max_epi16(_mm256_adds_epi16(packed, zero_point), minimum);
  };
  return _mm256_or_si256(words(0), _mm256_slli_epi16(words(2), 8));
}

// The sums of one output pixel of one group of 32 channels, from `channel` on, in the order of
// acc. kTaps: number of taps when known when compiling, else 0. `count` of the channels exist, 32
// unless the tensor has fewer.
template <typename Dot, int kTaps>
inline void depthwise_sums(const DepthwiseRow& row, std::int64_t group, std::int64_t channel,
                           std::int64_t count, std::int64_t pixel, __m256* sums) {
  const std::int64_t taps = kTaps > 0 ? kTaps : row.tap_count;
  const std::int64_t pairs = (taps + 1) / 2;
  const auto* weights = reinterpret_cast<const __m256i*>(row.weights + group * pairs * 64);
  const auto* init = reinterpret_cast<const __m256i*>(row.init + group * 32);
  const std::uint8_t* const* table = row.taps + pixel * row.tap_step;
  __m256i acc[4] = {_mm256_loadu_si256(init), _mm256_loadu_si256(init + 1),
                    _mm256_loadu_si256(init + 2), _mm256_loadu_si256(init + 3)};
  const auto multiply_add = [&](std::int64_t pair) {
    const __m256i first = load_channels(table[pair * 2] + channel, count);
    // A last single tap is paired with itself; its partner's weights are zero.
    const __m256i second =
        pair * 2 + 1 < taps ? load_channels(table[pair * 2 + 1] + channel, count) : first;
    multiply_add_taps<Dot>(acc, first, second, weights + pair * 4);
  };
  if constexpr (kTaps > 0) {
#pragma GCC unroll 13
    for (std::int64_t pair = 0; pair < (kTaps + 1) / 2; ++pair) multiply_add(pair);
  } else {
    for (std::int64_t pair = 0; pair < pairs; ++pair) multiply_add(pair);
  }
  if (row.residual.elements == nullptr) return depthwise_scale(row, group, acc, nullptr, sums);
  const __m256i elements =
      load_channels(row.residual.elements + pixel * row.channels + channel, count);
  const __m256i zero = _mm256_setzero_si256();
  const __m256i even = _mm256_and_si256(elements, _mm256_set1_epi16(255));
  const __m256i odd = _mm256_srli_epi16(elements, 8);
  const __m256i residual[4] = {_mm256_unpacklo_epi16(even, zero), _mm256_unpackhi_epi16(even, zero),
                               _mm256_unpacklo_epi16(odd, zero), _mm256_unpackhi_epi16(odd, zero)};
  depthwise_scale(row, group, acc, residual, sums);
}

// The pixels of one group. Where there is a function, it is applied to some pixels at a time.
template <typename Dot, int kTaps>
inline void depthwise_group(const DepthwiseRow& row, std::int64_t group, std::int64_t channel,
                            std::int64_t count) {
  const auto put = [&](std::int64_t pixel, const __m256* sums) {
    store_channels(row.out + pixel * row.channels + channel, depthwise_round(row, sums), count);
  };
  if (row.function.gate == ConvGate::None) {
    for (std::int64_t pixel = 0; pixel < row.pixels; ++pixel) {
      __m256 sums[4];
      depthwise_sums<Dot, kTaps>(row, group, channel, count, pixel, sums);
      put(pixel, sums);
    }
    return;
  }
  constexpr std::int64_t kBlock = 16;
  alignas(64) float block[kBlock * 32];
  for (std::int64_t start = 0; start < row.pixels; start += kBlock) {
    const std::int64_t pixels = std::min(kBlock, row.pixels - start);
    for (std::int64_t i = 0; i < pixels; ++i) {
      __m256 sums[4];
      depthwise_sums<Dot, kTaps>(row, group, channel, count, start + i, sums);
      for (int v = 0; v < 4; ++v) _mm256_store_ps(block + i * 32 + v * 8, sums[v]);
    }
    apply_function(row.function, row.slopes != nullptr ? row.slopes + group * 32 : nullptr, block,
                   pixels * 32);
    for (std::int64_t i = 0; i < pixels; ++i) {
      __m256 sums[4];
      for (int v = 0; v < 4; ++v) sums[v] = _mm256_load_ps(block + i * 32 + v * 8);
      put(start + i, sums);
    }
  }
}

// By value: stores of bytes could change what a reference refers to.
template <typename Dot, int kTaps>
void depthwise_groups(const DepthwiseRow row) {
  if (row.channels < 32) return depthwise_group<Dot, kTaps>(row, 0, 0, row.channels);
  const std::int64_t last = row.channels - 32;
  for (std::int64_t group = 0; group * 32 < row.channels; ++group) {
    depthwise_group<Dot, kTaps>(row, group, std::min(group * 32, last), 32);
  }
}

template <typename Dot>
void depthwise_row(const DepthwiseRow& row) noexcept {
  switch (row.tap_count) {
    case 9:
      return depthwise_groups<Dot, 9>(row);
    case 25:
      return depthwise_groups<Dot, 25>(row);
    default:
      return depthwise_groups<Dot, 0>(row);
  }
}

}  // namespace
}  // namespace enn

// The residual and the function in the epilogues of the x86 kernels. Included by ISA sources only.
#pragma once

#include "kernels/conv/function.hpp"
#include "kernels/conv/igemm.hpp"
#include "kernels/x86_floats32.hpp"

namespace enn {
namespace {

inline __m256 add_residual(__m256 sum, __m256i elements, const ConvResidual& residual) {
  const __m256i centred = _mm256_sub_epi32(elements, _mm256_set1_epi32(residual.zero_point));
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(residual.multiplier), sum);
}

// Adds to `sum`, the tile's columns [column, column + 8) of `row`, as many of which exist.
inline __m256 add_residual(__m256 sum, const IgemmTile& tile, std::int64_t row,
                           std::int64_t column) {
  const std::uint8_t* elements = tile.residual.elements + row * tile.out_stride + column;
  const std::int64_t left = tile.columns - column;
  __m256i widened = _mm256_setzero_si256();
  if (left >= 8) {
    widened = load_u8_s32(elements);
  } else if (left > 0) {
    widened = _mm256_cvtepu8_epi32(load_partial(elements, left));
  }
  return add_residual(sum, widened, tile.residual);
}

// fma(sum, multiplier, bias) and the residual, for the tile's columns [column, column + 8) of
// `row`.
inline __m256 scaled_sum(__m256i sum, const IgemmTile& tile, std::int64_t row,
                         std::int64_t column) {
  const __m256 scaled =
      _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(tile.multiplier + column),
                      _mm256_loadu_ps(tile.bias + column));
  return tile.residual.elements != nullptr ? add_residual(scaled, tile, row, column) : scaled;
}

inline Floats32 exp2_32(Floats32 t) {
  t = max(t, splat32(kExp2Minimum));
  const Floats32 integer = t + splat32(kRounding);
  const Floats32 r = t - (integer - splat32(kRounding));
  Floats32 sum = splat32(kExp2Terms[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) sum = fma(sum, r, splat32(kExp2Terms[i]));
  return scale_by_power(sum, integer);
}

template <ConvGate kGate>
inline Floats32 log2_odds_against32(const Floats32& x) {
  if constexpr (kGate == ConvGate::Logistic) {
    return x * splat32(kMinusLog2E);
  } else if constexpr (kGate == ConvGate::CubicLogistic) {
    constexpr float kFactor = kTwoSqrtTwoOverPi * kMinusLog2E;
    return x * fma(x * x, splat32(kFactor * kGeluCubic), splat32(kFactor));
  } else {
    const Floats32 u = min(x * x, splat32(kNormalOddsEnd));
    Floats32 sum = splat32(kNormalOdds[0]);
#pragma GCC unroll 6
    for (int i = 1; i < 7; ++i) sum = fma(sum, u, splat32(kNormalOdds[i]));
    return x * sum;
  }
}

template <ConvGate kGate>
inline Floats32 apply32(const ConvFunction& f, Floats32 v) {
  const Floats32 one = splat32(1.0F);
  v = max(v, splat32(f.floor));
  const Floats32 factor = f.multiplies ? v : splat32(f.unit);
  const Floats32 x = v * splat32(f.step);
  if constexpr (kGate == ConvGate::Slope) {
    return factor * where_positive(v, one, splat32(f.slope));
  } else if constexpr (kGate == ConvGate::Hard) {
    const Floats32 line = fma(x, splat32(1.0F / 6.0F), splat32(0.5F));
    return factor * min(max(line, splat32(0.0F)), one);
  } else {
    return factor / (one + exp2_32(log2_odds_against32<kGate>(x)));
  }
}

template <ConvGate kGate>
inline void apply_each(const ConvFunction& f, float* values, std::int64_t count) {
  const ConvFunction function = f;
  for (std::int64_t i = 0; i < count; i += 32) {
    store32(values + i, apply32<kGate>(function, load32(values + i)));
  }
}

// function.hpp's apply() in place, to `count` values, a multiple of 32.
[[gnu::noinline]] void apply_function(const ConvFunction& f, float* values, std::int64_t count) {
  switch (f.gate) {
    case ConvGate::None:
      return;
    case ConvGate::Slope:
      return apply_each<ConvGate::Slope>(f, values, count);
    case ConvGate::Hard:
      return apply_each<ConvGate::Hard>(f, values, count);
    case ConvGate::Logistic:
      return apply_each<ConvGate::Logistic>(f, values, count);
    case ConvGate::Normal:
      return apply_each<ConvGate::Normal>(f, values, count);
    case ConvGate::CubicLogistic:
      return apply_each<ConvGate::CubicLogistic>(f, values, count);
  }
}

// The end of the epilogue of a tile with a function, whose sums lie in tile.partial as floats, `nr`
// of them a row, a multiple of 16. Apart from the tile, which is unrolled by rows.
[[maybe_unused, gnu::noinline]] void finish_tile(const IgemmTile& tile, std::int64_t nr) {
  auto* sums = reinterpret_cast<float*>(tile.partial);
  apply_function(tile.function, sums, (tile.rows * nr + 31) / 32 * 32);
  const __m256 low = _mm256_set1_ps(tile.low);
  const __m256 high = _mm256_set1_ps(tile.high);
  const __m256i zero_point = _mm256_set1_epi32(tile.zero_point);
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    for (std::int64_t column = 0; column < tile.columns; column += 16) {
      const float* sixteen = sums + i * nr + column;
      const __m256i first = round_and_clamp8(_mm256_load_ps(sixteen), low, high, zero_point);
      const __m256i second = round_and_clamp8(_mm256_load_ps(sixteen + 8), low, high, zero_point);
      const std::int64_t left = tile.columns - column;
      store_partial(tile.out + i * tile.out_stride + column, pack_u8(first, second),
                    left < 16 ? left : 16);
    }
  }
}

}  // namespace
}  // namespace enn

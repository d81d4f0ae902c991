// The residual and the function in the epilogues of the x86 kernels. Included by ISA sources only.
#pragma once

#include <type_traits>

#include "kernels/conv/function.hpp"
#include "kernels/conv/igemm.hpp"
#include "kernels/x86_avx2.hpp"

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

inline __m256 exp2_8(__m256 t) {
  t = _mm256_max_ps(t, _mm256_set1_ps(kExp2Minimum));
  const __m256 rounding = _mm256_set1_ps(kRounding);
  const __m256 integer = _mm256_add_ps(t, rounding);
  const __m256 r = _mm256_sub_ps(t, _mm256_sub_ps(integer, rounding));
  __m256 sum = _mm256_set1_ps(kExp2Terms[0]);
  for (int i = 1; i < 6; ++i) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(kExp2Terms[i]));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum),
                                              _mm256_slli_epi32(_mm256_castps_si256(integer), 23)));
}

template <ConvGate kGate>
inline __m256 log2_odds_against8(__m256 x) {
  if constexpr (kGate == ConvGate::Logistic) {
    return _mm256_mul_ps(x, _mm256_set1_ps(kMinusLog2E));
  } else if constexpr (kGate == ConvGate::CubicLogistic) {
    constexpr float kFactor = kTwoSqrtTwoOverPi * kMinusLog2E;
    return _mm256_mul_ps(x,
                         _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(kFactor * kGeluCubic),
                                         _mm256_set1_ps(kFactor)));
  } else {
    const __m256 u = _mm256_min_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(kNormalOddsEnd));
    __m256 sum = _mm256_set1_ps(kNormalOdds[0]);
    for (int i = 1; i < 7; ++i) sum = _mm256_fmadd_ps(sum, u, _mm256_set1_ps(kNormalOdds[i]));
    return _mm256_mul_ps(x, sum);
  }
}

// The lanes of function.hpp's apply().
template <ConvGate kGate>
inline __m256 apply8(const ConvFunction& f, __m256 v) {
  const __m256 one = _mm256_set1_ps(1.0F);
  v = _mm256_max_ps(v, _mm256_set1_ps(f.floor));
  const __m256 factor = f.multiplies ? v : _mm256_set1_ps(f.unit);
  const __m256 x = _mm256_mul_ps(v, _mm256_set1_ps(f.step));
  if constexpr (kGate == ConvGate::Slope) {
    const __m256 positive = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ);
    return _mm256_mul_ps(factor, _mm256_blendv_ps(_mm256_set1_ps(f.slope), one, positive));
  } else if constexpr (kGate == ConvGate::Hard) {
    const __m256 line = _mm256_fmadd_ps(x, _mm256_set1_ps(1.0F / 6.0F), _mm256_set1_ps(0.5F));
    return _mm256_mul_ps(factor, _mm256_min_ps(_mm256_max_ps(line, _mm256_setzero_ps()), one));
  } else {
    return _mm256_div_ps(factor, _mm256_add_ps(one, exp2_8(log2_odds_against8<kGate>(x))));
  }
}

// Calls `use` with the gate as a constant.
template <typename Use>
inline auto with_gate(ConvGate gate, const Use& use) {
  switch (gate) {
    case ConvGate::Slope:
      return use(std::integral_constant<ConvGate, ConvGate::Slope>());
    case ConvGate::Hard:
      return use(std::integral_constant<ConvGate, ConvGate::Hard>());
    case ConvGate::Normal:
      return use(std::integral_constant<ConvGate, ConvGate::Normal>());
    case ConvGate::CubicLogistic:
      return use(std::integral_constant<ConvGate, ConvGate::CubicLogistic>());
    default:
      return use(std::integral_constant<ConvGate, ConvGate::Logistic>());
  }
}

// The end of the epilogue of a tile with a function, whose sums lie in tile.partial as floats, `nr`
// of them a row, a multiple of 16. Apart from the tile, which is unrolled by rows.
[[maybe_unused, gnu::noinline]] void finish_tile(const IgemmTile& tile, std::int64_t nr) {
  const auto* sums = reinterpret_cast<const float*>(tile.partial);
  const __m256 low = _mm256_set1_ps(tile.low);
  const __m256 high = _mm256_set1_ps(tile.high);
  const __m256i zero_point = _mm256_set1_epi32(tile.zero_point);
  const ConvFunction function = tile.function;
  with_gate(function.gate, [&](auto gate) {
    const auto finished = [&](const float* eight) {
      const __m256 applied = apply8<gate()>(function, _mm256_load_ps(eight));
      return round_and_clamp8(applied, low, high, zero_point);
    };
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      for (std::int64_t column = 0; column < tile.columns; column += 16) {
        const std::int64_t left = tile.columns - column;
        const float* sixteen = sums + i * nr + column;
        const __m256i first = finished(sixteen);
        const __m256i second = left > 8 ? finished(sixteen + 8) : first;
        store_partial(tile.out + i * tile.out_stride + column, pack_u8(first, second),
                      left < 16 ? left : 16);
      }
    }
  });
}

}  // namespace
}  // namespace enn

// The residual and the function in the epilogues of the x86 kernels. Included by ISA sources only.
#pragma once

#include <limits>

#include "kernels/conv/function.hpp"
#include "kernels/conv/igemm.hpp"
#include "kernels/x86_avx2.hpp"
#include "kernels/x86_exp_f32.hpp"

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

inline __m256 absolute8(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x); }
inline __m256 negated8(__m256 x) { return _mm256_xor_ps(_mm256_set1_ps(-0.0F), x); }
// negative where x < 0, else other.
inline __m256 where_negative8(__m256 x, __m256 negative, __m256 other) {
  return _mm256_blendv_ps(other, negative, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}

// The lanes of function.hpp's functions.
inline __m256 logistic8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 e = exp_of_nonpositive8(negated8(absolute8(x)));
  return _mm256_div_ps(where_negative8(x, e, one), _mm256_add_ps(one, e));
}

inline __m256 normal_cdf8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 z = _mm256_mul_ps(absolute8(x), _mm256_set1_ps(kSqrtHalf));
  const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(z, _mm256_set1_ps(kErfcP), one));
  __m256 sum = _mm256_set1_ps(kHalfErfcTerms[0]);
  for (int i = 1; i < 5; ++i) sum = _mm256_fmadd_ps(sum, t, _mm256_set1_ps(kHalfErfcTerms[i]));
  const __m256 tail =
      _mm256_mul_ps(_mm256_mul_ps(sum, t), exp_of_nonpositive8(negated8(_mm256_mul_ps(z, z))));
  return where_negative8(x, tail, _mm256_sub_ps(one, tail));
}

inline __m256 gate8(const ConvFunction& f, __m256 v) {
  const __m256 x = _mm256_mul_ps(v, _mm256_set1_ps(f.step));
  const __m256 one = _mm256_set1_ps(1.0F);
  switch (f.gate) {
    case ConvGate::Slope:
      return _mm256_blendv_ps(_mm256_set1_ps(f.slope), one,
                              _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
    case ConvGate::Hard: {
      const __m256 line = _mm256_fmadd_ps(x, _mm256_set1_ps(1.0F / 6.0F), _mm256_set1_ps(0.5F));
      return _mm256_min_ps(_mm256_max_ps(line, _mm256_setzero_ps()), one);
    }
    case ConvGate::Logistic:
      return logistic8(x);
    case ConvGate::Normal:
      return normal_cdf8(x);
    case ConvGate::CubicLogistic: {
      const __m256 cubic =
          _mm256_fmadd_ps(_mm256_mul_ps(_mm256_set1_ps(kGeluCubic), x), _mm256_mul_ps(x, x), x);
      return logistic8(_mm256_mul_ps(_mm256_set1_ps(kTwoSqrtTwoOverPi), cubic));
    }
    case ConvGate::None:
      break;
  }
  return one;
}

inline __m256 apply8(const ConvFunction& f, __m256 v) {
  v = _mm256_max_ps(v, _mm256_set1_ps(std::numeric_limits<float>::lowest()));
  return _mm256_mul_ps(gate8(f, v), f.multiplies ? v : _mm256_set1_ps(f.unit));
}

// The end of the epilogue of a tile with a function, whose sums lie in tile.partial as floats, `nr`
// of them a row, a multiple of 16. Apart from the tile, which is unrolled by rows.
[[maybe_unused, gnu::noinline]] void finish_tile(const IgemmTile& tile, std::int64_t nr) {
  const auto* sums = reinterpret_cast<const float*>(tile.partial);
  const __m256 low = _mm256_set1_ps(tile.low);
  const __m256 high = _mm256_set1_ps(tile.high);
  const __m256i zero_point = _mm256_set1_epi32(tile.zero_point);
  const auto finished = [&](const float* eight) {
    return round_and_clamp8(apply8(tile.function, _mm256_load_ps(eight)), low, high, zero_point);
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
}

}  // namespace
}  // namespace enn

// The residual in the epilogues of the x86 kernels. Included by ISA sources only.
#pragma once

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

}  // namespace
}  // namespace enn

// exp_of_nonpositive on eight lanes. Included by x86_avx2.cpp files only.
#pragma once

#include "kernels/exp_f32.hpp"
#include "kernels/x86_avx2.hpp"

namespace enn {
namespace {

[[maybe_unused]] inline __m256 exp_of_nonpositive8(__m256 x) {
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kLn2Low),
                                   _mm256_fmadd_ps(n, _mm256_set1_ps(-kLn2High), x));
  __m256 sum = _mm256_set1_ps(kExpTerms[0]);
  for (int i = 1; i < 8; ++i) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(kExpTerms[i]));
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  const __m256 result = _mm256_mul_ps(sum, _mm256_castsi256_ps(exponent));
  const __m256 minimum = _mm256_set1_ps(kExpMinimum);
  const __m256 kept = _mm256_andnot_ps(_mm256_cmp_ps(x, minimum, _CMP_LT_OQ), result);
  // NaN as the operand brought it.
  return _mm256_blendv_ps(kept, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

}  // namespace
}  // namespace enn

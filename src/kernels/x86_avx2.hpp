// Helpers of the AVX2 kernels. Included by x86_avx2.cpp files only, which are compiled with that
// ISA's flags: everything is in an anonymous namespace, so that no copy can be shared with code for
// older CPUs.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace enn {
namespace {

// round_half_even(clamp(v, low, high)) + zero_point in each lane; NaN gives low.
[[maybe_unused]] inline __m256i round_and_clamp8(__m256 v, __m256 low, __m256 high,
                                                 __m256i zero_point) {
  v = _mm256_min_ps(_mm256_max_ps(v, low), high);
  return _mm256_add_epi32(_mm256_cvtps_epi32(v), zero_point);
}

// 16 values in [0, 255] as bytes, in order.
[[maybe_unused]] inline __m128i pack_u8(__m256i first, __m256i second) {
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), _MM_SHUFFLE(3, 1, 2, 0));
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// Eight bytes at `in` as int32.
[[maybe_unused]] inline __m256i load_u8_s32(const std::uint8_t* in) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in)));
}

// The first n bytes of `bytes`, 0 <= n <= 16.
[[maybe_unused]] inline void store_partial(std::uint8_t* out, __m128i bytes, std::int64_t n) {
  if (n == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    return;
  }
  alignas(16) std::uint8_t buffer[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(buffer), bytes);
  std::memcpy(out, buffer, static_cast<std::size_t>(n));
}

// n bytes at `in`, then zeros; 0 <= n <= 16.
[[maybe_unused]] inline __m128i load_partial(const std::uint8_t* in, std::int64_t n) {
  if (n == 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
  alignas(16) std::uint8_t buffer[16] = {};
  std::memcpy(buffer, in, static_cast<std::size_t>(n));
  return _mm_load_si128(reinterpret_cast<const __m128i*>(buffer));
}

}  // namespace
}  // namespace enn

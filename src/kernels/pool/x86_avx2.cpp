#include "kernels/x86_avx2.hpp"

#include "kernels/pool/pool.hpp"

namespace enn {
namespace {

// Calls visit(bytes of pixel) for the window's pixels in row-major order.
template <typename Visit>
inline void for_each_pixel(const PoolWindow& window, const Visit& visit) {
  const auto* line = static_cast<const std::uint8_t*>(window.first);
  for (std::int64_t row = 0; row < window.rows; ++row, line += window.row_stride) {
    const std::uint8_t* pixel = line;
    for (std::int64_t column = 0; column < window.columns;
         ++column, pixel += window.column_stride) {
      visit(pixel);
    }
  }
}

// n bytes from channel c on, 1 <= n <= 32.
inline __m256i load32(const std::uint8_t* in, std::int64_t n) {
  if (n == 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m128i low = load_partial(in, n < 16 ? n : 16);
  return _mm256_set_m128i(n > 16 ? load_partial(in + 16, n - 16) : _mm_setzero_si128(), low);
}

// The first n of eight lanes, n >= 1.
inline __m256i first_lanes(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(n < 8 ? n : 8)), lane);
}

inline __m256 load8(const std::uint8_t* pixel, std::int64_t channel, __m256i lanes) {
  return _mm256_maskload_ps(reinterpret_cast<const float*>(pixel) + channel, lanes);
}

inline __m256 larger_or_nan(__m256 best, __m256 x) {
  const __m256 larger = _mm256_cmp_ps(x, best, _CMP_GT_OQ);
  return _mm256_blendv_ps(best, x, _mm256_or_ps(larger, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

}  // namespace

void max_pool_f32_avx2(const PoolParams& params, const PoolWindow& window, void* out) noexcept {
  auto* result = static_cast<float*>(out);
  const __m256 lowest = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xFF800000U)));
  for (std::int64_t c = 0; c < params.channels; c += 16) {
    const std::int64_t n = params.channels - c;
    const __m256i lanes0 = first_lanes(n);
    const __m256i lanes1 = first_lanes(n - 8);
    __m256 best0 = lowest;
    __m256 best1 = lowest;
    for_each_pixel(window, [&](const std::uint8_t* pixel) {
      best0 = larger_or_nan(best0, load8(pixel, c, lanes0));
      if (n > 8) best1 = larger_or_nan(best1, load8(pixel, c + 8, lanes1));
    });
    _mm256_maskstore_ps(result + c, lanes0, best0);
    if (n > 8) _mm256_maskstore_ps(result + c + 8, lanes1, best1);
  }
}

void average_pool_f32_avx2(const PoolParams& params, const PoolWindow& window, void* out) noexcept {
  auto* result = static_cast<float*>(out);
  const __m256 divisor = _mm256_set1_ps(window.divisor);
  for (std::int64_t c = 0; c < params.channels; c += 16) {
    const std::int64_t n = params.channels - c;
    const __m256i lanes0 = first_lanes(n);
    const __m256i lanes1 = first_lanes(n - 8);
    __m256 sum0 = _mm256_setzero_ps();
    __m256 sum1 = _mm256_setzero_ps();
    for_each_pixel(window, [&](const std::uint8_t* pixel) {
      sum0 = _mm256_add_ps(sum0, load8(pixel, c, lanes0));
      if (n > 8) sum1 = _mm256_add_ps(sum1, load8(pixel, c + 8, lanes1));
    });
    _mm256_maskstore_ps(result + c, lanes0, _mm256_div_ps(sum0, divisor));
    if (n > 8) _mm256_maskstore_ps(result + c + 8, lanes1, _mm256_div_ps(sum1, divisor));
  }
}

void max_pool_u8_avx2(const PoolParams& params, const PoolWindow& window, void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  for (std::int64_t c = 0; c < params.channels; c += 32) {
    const std::int64_t n = params.channels - c < 32 ? params.channels - c : 32;
    __m256i best = _mm256_setzero_si256();
    for_each_pixel(window, [&](const std::uint8_t* pixel) {
      best = _mm256_max_epu8(best, load32(pixel + c, n));
    });
    store_partial(result + c, _mm256_castsi256_si128(best), n < 16 ? n : 16);
    if (n > 16) store_partial(result + c + 16, _mm256_extracti128_si256(best, 1), n - 16);
  }
}

void average_pool_u8_avx2(const PoolParams& params, const PoolWindow& window, void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  const __m256 input_scale = _mm256_set1_ps(params.input_scale);
  const __m256i input_zero_point = _mm256_set1_epi32(params.input_zero_point);
  const __m256 divisor = _mm256_set1_ps(window.divisor);
  const __m256 inv_scale = _mm256_set1_ps(params.inv_scale);
  const __m256 low = _mm256_set1_ps(static_cast<float>(-params.zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(255 - params.zero_point));
  const __m256i zero_point = _mm256_set1_epi32(params.zero_point);
  const auto real = [&](__m128i bytes) {
    return _mm256_mul_ps(
        _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), input_zero_point)),
        input_scale);
  };
  const auto finish = [&](__m256 sum) {
    return round_and_clamp8(_mm256_mul_ps(_mm256_div_ps(sum, divisor), inv_scale), low, high,
                            zero_point);
  };
  for (std::int64_t c = 0; c < params.channels; c += 16) {
    const std::int64_t n = params.channels - c < 16 ? params.channels - c : 16;
    __m256 sum0 = _mm256_setzero_ps();
    __m256 sum1 = _mm256_setzero_ps();
    for_each_pixel(window, [&](const std::uint8_t* pixel) {
      const __m128i bytes = load_partial(pixel + c, n);
      sum0 = _mm256_add_ps(sum0, real(bytes));
      sum1 = _mm256_add_ps(sum1, real(_mm_srli_si128(bytes, 8)));
    });
    store_partial(result + c, pack_u8(finish(sum0), finish(sum1)), n);
  }
}

}  // namespace enn

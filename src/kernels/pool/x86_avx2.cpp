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

}  // namespace

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

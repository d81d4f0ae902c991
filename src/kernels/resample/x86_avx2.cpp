#include "kernels/x86_avx2.hpp"

#include "kernels/resample/resample.hpp"

namespace enn {
namespace {

// The weighted sum of eight channels; load(pixel) gives their values.
template <typename Load>
inline __m256 weighted_sum(const ResampleParams& params, const ResamplePixel& pixel,
                           const Load& load) {
  __m256 sum = _mm256_setzero_ps();
  for (int r = 0; r < params.taps; ++r) {
    const auto* row = static_cast<const char*>(pixel.rows[r]);
    __m256 line = _mm256_setzero_ps();
    for (int s = 0; s < params.taps; ++s) {
      const __m256 product =
          _mm256_mul_ps(load(row + pixel.columns[s]), _mm256_set1_ps(pixel.column_weights[s]));
      line = s == 0 ? product : _mm256_add_ps(line, product);
    }
    const __m256 product = _mm256_mul_ps(line, _mm256_set1_ps(pixel.row_weights[r]));
    sum = r == 0 ? product : _mm256_add_ps(sum, product);
  }
  return sum;
}

}  // namespace

void resample_u8_avx2(const ResampleParams& params, const ResamplePixel& pixel,
                      void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  const __m256 input_scale = _mm256_set1_ps(params.input_scale);
  const __m256i input_zero_point = _mm256_set1_epi32(params.input_zero_point);
  const __m256 inv_scale = _mm256_set1_ps(params.inv_scale);
  const __m256 low = _mm256_set1_ps(static_cast<float>(-params.zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(255 - params.zero_point));
  const __m256i zero_point = _mm256_set1_epi32(params.zero_point);
  for (std::int64_t c = 0; c < params.channels; c += 8) {
    const std::int64_t n = params.channels - c < 8 ? params.channels - c : 8;
    const __m256 sum = weighted_sum(params, pixel, [&](const char* values) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(values) + c;
      const __m256i integers =
          n == 8 ? load_u8_s32(bytes) : _mm256_cvtepu8_epi32(load_partial(bytes, n));
      return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(integers, input_zero_point)),
                           input_scale);
    });
    const __m256i stored = round_and_clamp8(_mm256_mul_ps(sum, inv_scale), low, high, zero_point);
    store_partial(result + c, pack_u8(stored, stored), n);
  }
}

void resample_f32_avx2(const ResampleParams& params, const ResamplePixel& pixel,
                       void* out) noexcept {
  auto* result = static_cast<float*>(out);
  for (std::int64_t c = 0; c < params.channels; c += 8) {
    const std::int64_t n = params.channels - c < 8 ? params.channels - c : 8;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
    const __m256 sum = weighted_sum(params, pixel, [&](const char* values) {
      return _mm256_maskload_ps(reinterpret_cast<const float*>(values) + c, mask);
    });
    _mm256_maskstore_ps(result + c, mask, sum);
  }
}

}  // namespace enn

#include "kernels/x86_avx2.hpp"

#include <cstddef>

#include "kernels/reduce/reduce.hpp"

namespace enn {
namespace {

struct Epilogue {
  explicit Epilogue(const MeanParams& params)
      : correction(
            _mm256_set1_epi32(static_cast<std::int32_t>(-params.count) * params.input_zero_point)),
        multiplier(_mm256_set1_ps(params.multiplier)),
        low(_mm256_set1_ps(static_cast<float>(-params.zero_point))),
        high(_mm256_set1_ps(static_cast<float>(255 - params.zero_point))),
        zero_point(_mm256_set1_epi32(params.zero_point)) {}

  [[nodiscard]] __m256i operator()(__m256i sum) const {
    const __m256 exact = _mm256_cvtepi32_ps(_mm256_add_epi32(sum, correction));
    return round_and_clamp8(_mm256_mul_ps(exact, multiplier), low, high, zero_point);
  }

  __m256i correction;
  __m256 multiplier;
  __m256 low;
  __m256 high;
  __m256i zero_point;
};

// Sums of `count` bytes at `in`, in one lane group.
inline std::int32_t sum_run(const std::uint8_t* in, std::int64_t count) {
  __m256i sums = _mm256_setzero_si256();
  std::int64_t j = 0;
  for (; j + 32 <= count; j += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + j));
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
  }
  const __m128i halves =
      _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  std::int64_t sum = _mm_extract_epi64(halves, 0) + _mm_extract_epi64(halves, 1);
  for (; j < count; ++j) sum += in[j];
  return static_cast<std::int32_t>(sum);
}

// Results [i, i + 4 * kSums).
template <std::size_t kSums>
inline void mean_columns(const MeanParams& params, double divisor, const float* in, std::int64_t i,
                         float* out) {
  __m256d sums[kSums];
  for (__m256d& sum : sums) sum = _mm256_setzero_pd();
  const float* row = in + i;
  for (std::int64_t j = 0; j < params.count; ++j, row += params.inner) {
    for (std::size_t k = 0; k < kSums; ++k) {
      sums[k] = _mm256_add_pd(sums[k], _mm256_cvtps_pd(_mm_loadu_ps(row + 4 * k)));
    }
  }
  const __m256d divisors = _mm256_set1_pd(divisor);
  for (std::size_t k = 0; k < kSums; ++k) {
    _mm_storeu_ps(out + i + 4 * k, _mm256_cvtpd_ps(_mm256_div_pd(sums[k], divisors)));
  }
}

}  // namespace

void mean_u8_avx2(const MeanParams& params, const std::uint8_t* in, std::int64_t begin,
                  std::int64_t end, std::uint8_t* out) noexcept {
  const Epilogue epilogue(params);
  if (params.inner == 1) {
    if (begin < end) {
      const __m256i q = epilogue(_mm256_set1_epi32(sum_run(in, params.count)));
      out[0] = static_cast<std::uint8_t>(_mm256_extract_epi32(q, 0));
    }
    return;
  }
  for (std::int64_t i = begin; i < end; i += 16) {
    const std::int64_t n = end - i < 16 ? end - i : 16;
    __m256i sum0 = _mm256_setzero_si256();
    __m256i sum1 = _mm256_setzero_si256();
    // 256 bytes fit into 16 bits.
    for (std::int64_t j = 0; j < params.count; j += 256) {
      const std::int64_t last = params.count - j < 256 ? params.count : j + 256;
      __m256i words = _mm256_setzero_si256();
      for (std::int64_t k = j; k < last; ++k) {
        words = _mm256_add_epi16(words,
                                 _mm256_cvtepu8_epi16(load_partial(in + k * params.inner + i, n)));
      }
      sum0 = _mm256_add_epi32(sum0, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(words)));
      sum1 = _mm256_add_epi32(sum1, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(words, 1)));
    }
    store_partial(out + i, pack_u8(epilogue(sum0), epilogue(sum1)), n);
  }
}

void mean_f32_avx2(const MeanParams& params, double divisor, const float* in, std::int64_t begin,
                   std::int64_t end, float* out) noexcept {
  std::int64_t i = begin;
  for (; i + 32 <= end; i += 32) mean_columns<8>(params, divisor, in, i, out);
  for (; i + 4 <= end; i += 4) mean_columns<1>(params, divisor, in, i, out);
  mean_f32_reference(params, divisor, in, i, end, out);
}

}  // namespace enn

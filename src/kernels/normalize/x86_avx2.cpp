#include "kernels/x86_avx2.hpp"

#include "kernels/normalize/normalize.hpp"

namespace enn {
namespace {

// Lanes 0 … 3 and 4 … 7 of eight sums in double.
struct Sums {
  __m256d low = _mm256_setzero_pd();
  __m256d high = _mm256_setzero_pd();

  void add(__m256d first, __m256d second) {
    low = _mm256_add_pd(low, first);
    high = _mm256_add_pd(high, second);
  }
  // ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
  [[nodiscard]] double total() const {
    const __m256d fours = _mm256_add_pd(low, high);
    const __m128d twos = _mm_add_pd(_mm256_castpd256_pd128(fours), _mm256_extractf128_pd(fours, 1));
    return _mm_cvtsd_f64(_mm_add_sd(twos, _mm_unpackhi_pd(twos, twos)));
  }
};

inline __m256i lane_mask(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(n < 8 ? n : 8)), lane);
}

inline __m256 load_lanes(const float* from, std::int64_t n) {
  return n >= 8 ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lane_mask(n));
}

inline __m256d wide_low(__m256 v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
inline __m256d wide_high(__m256 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }

double sum_of(const float* x, std::int64_t n) {
  Sums sums;
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 v = load_lanes(x + i, n - i);
    sums.add(wide_low(v), wide_high(v));
  }
  return sums.total();
}

double squares_of(const float* x, std::int64_t n, double mean) {
  const __m256d shift = _mm256_set1_pd(mean);
  Sums sums;
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 v = load_lanes(x + i, n - i);
    __m256d first = _mm256_sub_pd(wide_low(v), shift);
    __m256d second = _mm256_sub_pd(wide_high(v), shift);
    if (n - i < 8) {
      const __m256i mask = lane_mask(n - i);
      const __m128i high = _mm256_extracti128_si256(mask, 1);
      first = _mm256_and_pd(
          first, _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask))));
      second = _mm256_and_pd(second, _mm256_castsi256_pd(_mm256_cvtepi32_epi64(high)));
    }
    sums.add(_mm256_mul_pd(first, first), _mm256_mul_pd(second, second));
  }
  return sums.total();
}

// Elements [i, end) of a row, whose parameters are weight[0], weight[1], …, or all weight[0] when
// `constant`.
struct Span {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  bool constant = false;

  [[nodiscard]] __m256 parameter(const float* from, std::int64_t i, std::int64_t n) const {
    return constant ? _mm256_set1_ps(*from) : load_lanes(from + i - begin, n);
  }
};

// Calls body(span) for the parts of row `row` whose parameters are neighbours, or one.
template <typename Body>
void for_spans(const NormalizeParams& params, std::int64_t row, const Body& body) {
  const std::int64_t count = params.length / params.inner;
  const std::int64_t first = row % params.groups * count;
  if (params.inner == 1) {
    return body(Span{0, params.length, params.weight + first, params.bias + first, false});
  }
  for (std::int64_t p = 0; p < count; ++p) {
    body(Span{p * params.inner, (p + 1) * params.inner, params.weight + first + p,
              params.bias + first + p, true});
  }
}

// 32-bit lanes hold the squares of 2 * 2^13 bytes each without overflow.
constexpr std::int64_t kBlock = 16 << 13;

}  // namespace

void normalize_f32_avx2(const NormalizeParams& params, const float* in, std::int64_t begin,
                        std::int64_t end, float* out) noexcept {
  const auto length = static_cast<double>(params.length);
  for (std::int64_t row = begin; row < end; ++row) {
    const float* x = in + row * params.length;
    float* y = out + row * params.length;
    const double mean = params.center ? sum_of(x, params.length) / length : 0.0;
    const double variance = squares_of(x, params.length, mean) / length;
    const __m256 shift = _mm256_set1_ps(static_cast<float>(mean));
    const __m256 factor = _mm256_set1_ps(reciprocal_deviation(variance, params.eps));
    for_spans(params, row, [&](const Span& span) {
      for (std::int64_t i = span.begin; i < span.end; i += 8) {
        const std::int64_t n = span.end - i;
        const __m256 v = _mm256_mul_ps(_mm256_sub_ps(load_lanes(x + i, n), shift), factor);
        const __m256 result =
            _mm256_fmadd_ps(v, span.parameter(span.weight, i, n), span.parameter(span.bias, i, n));
        n >= 8 ? _mm256_storeu_ps(y + i, result) : _mm256_maskstore_ps(y + i, lane_mask(n), result);
      }
    });
  }
}

void normalize_u8_avx2(const NormalizeParams& params, const std::uint8_t* in, std::int64_t begin,
                       std::int64_t end, std::uint8_t* out) noexcept {
  const __m256 low = _mm256_set1_ps(static_cast<float>(-params.output_zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(255 - params.output_zero_point));
  const __m256i output_zero_point = _mm256_set1_epi32(params.output_zero_point);
  const auto lane_sum = [](__m256i v) {
    const __m128i fours = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_extract_epi64(fours, 0) + _mm_extract_epi64(fours, 1);
  };
  for (std::int64_t row = begin; row < end; ++row) {
    const std::uint8_t* x = in + row * params.length;
    std::uint8_t* y = out + row * params.length;
    // Sums of the bytes themselves; the zero point is taken out of both behind the loop.
    __m256i sums = _mm256_setzero_si256();
    __m256i squares = _mm256_setzero_si256();
    for (std::int64_t block = 0; block < params.length; block += kBlock) {
      const std::int64_t block_end =
          params.length - block < kBlock ? params.length : block + kBlock;
      __m256i partial = _mm256_setzero_si256();
      for (std::int64_t i = block; i < block_end; i += 16) {
        const std::int64_t n = block_end - i;
        const __m128i bytes = load_partial(x + i, n < 16 ? n : 16);
        const __m256i words = _mm256_cvtepu8_epi16(bytes);
        partial = _mm256_add_epi32(partial, _mm256_madd_epi16(words, words));
        sums = _mm256_add_epi64(sums,
                                _mm256_zextsi128_si256(_mm_sad_epu8(bytes, _mm_setzero_si128())));
      }
      const __m256i even = _mm256_and_si256(partial, _mm256_set1_epi64x(0xFFFFFFFF));
      squares = _mm256_add_epi64(squares, _mm256_add_epi64(even, _mm256_srli_epi64(partial, 32)));
    }
    const std::int64_t z = params.zero_point;
    const std::int64_t byte_sum = lane_sum(sums);
    const std::int64_t sum = byte_sum - params.length * z;
    const std::int64_t square_sum = lane_sum(squares) - 2 * z * byte_sum + params.length * z * z;
    const NormalizedRow normalized = normalized_row(params, sum, square_sum);
    const __m256 scale = _mm256_set1_ps(normalized.scale);
    const __m256 shift = _mm256_set1_ps(normalized.shift);
    for_spans(params, row, [&](const Span& span) {
      const auto quantized = [&](__m128i bytes, std::int64_t i) {
        const std::int64_t n = span.end - i;
        const __m256 v =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), scale, shift);
        const __m256 weighted =
            _mm256_fmadd_ps(v, span.parameter(span.weight, i, n), span.parameter(span.bias, i, n));
        return round_and_clamp8(weighted, low, high, output_zero_point);
      };
      for (std::int64_t i = span.begin; i < span.end; i += 16) {
        const std::int64_t n = span.end - i;
        const __m128i bytes = load_partial(x + i, n < 16 ? n : 16);
        const __m256i first = quantized(bytes, i);
        const __m256i second = n > 8 ? quantized(_mm_srli_si128(bytes, 8), i + 8) : first;
        store_partial(y + i, pack_u8(first, second), n < 16 ? n : 16);
      }
    });
  }
}

}  // namespace enn

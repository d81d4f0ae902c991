#include <cmath>
#include <limits>

#include "kernels/softmax/softmax.hpp"
#include "kernels/x86_exp_f32.hpp"

namespace enn {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

inline float log_of(float sum) { return static_cast<float>(std::log(static_cast<double>(sum))); }

// ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
inline float sum_lanes(__m256 s) {
  const __m128 fours = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  const __m128 twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
  return _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)));
}

inline float greatest_lane(__m256 v) {
  const __m128 fours = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 twos = _mm_max_ps(fours, _mm_movehl_ps(fours, fours));
  return _mm_cvtss_f32(_mm_max_ss(twos, _mm_movehdup_ps(twos)));
}

inline __m256i lane_mask(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(n < 8 ? n : 8)), lane);
}

// Lanes behind n are `fill`.
inline __m256 load_filled(const float* from, std::int64_t n, float fill) {
  if (n >= 8) return _mm256_loadu_ps(from);
  const __m256i mask = lane_mask(n);
  return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(from, mask),
                          _mm256_castsi256_ps(mask));
}

inline void store_lanes(float* to, __m256 v, std::int64_t n) {
  n >= 8 ? _mm256_storeu_ps(to, v) : _mm256_maskstore_ps(to, lane_mask(n), v);
}

void softmax_row(const SoftmaxParams& params, const float* in, float* out) {
  const std::int64_t n = params.count;
  __m256 most = _mm256_set1_ps(kLowest);
  for (std::int64_t i = 0; i < n; i += 8) {
    // The second operand is the result where the first is NaN.
    most = _mm256_max_ps(load_filled(in + i, n - i, kLowest), most);
  }
  const float greatest = greatest_lane(most);
  const __m256 shift = _mm256_set1_ps(greatest);
  __m256 sums = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 8) {
    __m256 e = exp_of_nonpositive8(_mm256_sub_ps(load_filled(in + i, n - i, kLowest), shift));
    if (n - i < 8) e = _mm256_and_ps(e, _mm256_castsi256_ps(lane_mask(n - i)));
    if (!params.log) store_lanes(out + i, e, n - i);
    sums = _mm256_add_ps(sums, e);
  }
  const float sum = sum_lanes(sums);
  if (params.log) {
    const __m256 log_sum = _mm256_set1_ps(log_of(sum));
    for (std::int64_t i = 0; i < n; i += 8) {
      const __m256 shifted = _mm256_sub_ps(load_filled(in + i, n - i, kLowest), shift);
      store_lanes(out + i, _mm256_sub_ps(shifted, log_sum), n - i);
    }
  } else {
    const __m256 divisor = _mm256_set1_ps(sum);
    for (std::int64_t i = 0; i < n; i += 8) {
      store_lanes(out + i, _mm256_div_ps(load_filled(out + i, n - i, 0.0F), divisor), n - i);
    }
  }
  if (!params.safe || greatest != kLowest) return;
  for (std::int64_t i = 0; i < n; ++i) {
    if (in[i] != kLowest) return;
  }
  for (std::int64_t i = 0; i < n; ++i) out[i] = 0.0F;
}

// Eight neighbouring columns.
void softmax_columns(const SoftmaxParams& params, const float* in, float* out) {
  const auto x = [&](std::int64_t i) { return _mm256_loadu_ps(in + i * params.inner); };
  __m256 most = _mm256_set1_ps(kLowest);
  __m256 masked = _mm256_castsi256_ps(_mm256_set1_epi32(params.safe ? -1 : 0));
  for (std::int64_t i = 0; i < params.count; ++i) {
    most = _mm256_max_ps(x(i), most);
    masked = _mm256_and_ps(masked, _mm256_cmp_ps(x(i), _mm256_set1_ps(kLowest), _CMP_EQ_OQ));
  }
  __m256 s[8];
  for (__m256& sum : s) sum = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < params.count; ++i) {
    const __m256 e = exp_of_nonpositive8(_mm256_sub_ps(x(i), most));
    if (!params.log) _mm256_storeu_ps(out + i * params.inner, e);
    s[i % 8] = _mm256_add_ps(s[i % 8], e);
  }
  const __m256 even = _mm256_add_ps(_mm256_add_ps(s[0], s[4]), _mm256_add_ps(s[2], s[6]));
  const __m256 odd = _mm256_add_ps(_mm256_add_ps(s[1], s[5]), _mm256_add_ps(s[3], s[7]));
  __m256 sum = _mm256_add_ps(even, odd);
  if (params.log) {
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, sum);
    for (float& lane : lanes) lane = log_of(lane);
    sum = _mm256_load_ps(lanes);
  }
  for (std::int64_t i = 0; i < params.count; ++i) {
    float* to = out + i * params.inner;
    const __m256 v = params.log ? _mm256_sub_ps(_mm256_sub_ps(x(i), most), sum)
                                : _mm256_div_ps(_mm256_loadu_ps(to), sum);
    _mm256_storeu_ps(to, _mm256_andnot_ps(masked, v));
  }
}

// What is done with eight distances from the greatest byte.
class ByteSoftmax {
 public:
  explicit ByteSoftmax(const SoftmaxU8Params& params)
      : exp_(params.exp.data()),
        log_(params.log),
        scale_(_mm256_set1_ps(params.scale)),
        inv_scale_(_mm256_set1_ps(params.inv_scale)),
        low_(_mm256_set1_ps(static_cast<float>(-params.zero_point))),
        high_(_mm256_set1_ps(static_cast<float>(255 - params.zero_point))),
        zero_point_(_mm256_set1_epi32(params.zero_point)) {}

  [[nodiscard]] __m256 exp(__m256i distance) const {
    return _mm256_i32gather_ps(exp_, distance, 4);
  }
  // `normalizer`: the sum, or its logarithm.
  [[nodiscard]] __m256i result(__m256i distance, __m256 normalizer) const {
    __m256 v;
    if (log_) {
      const __m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_cvtepi32_ps(distance));
      v = _mm256_sub_ps(_mm256_mul_ps(minus, scale_), normalizer);
    } else {
      v = _mm256_div_ps(exp(distance), normalizer);
    }
    return round_and_clamp8(_mm256_mul_ps(v, inv_scale_), low_, high_, zero_point_);
  }

 private:
  const float* exp_;
  bool log_;
  __m256 scale_;
  __m256 inv_scale_;
  __m256 low_;
  __m256 high_;
  __m256i zero_point_;
};

inline std::uint8_t greatest_byte(const std::uint8_t* in, std::int64_t n) {
  __m128i most = _mm_setzero_si128();
  for (std::int64_t i = 0; i < n; i += 16) {
    most = _mm_max_epu8(most, load_partial(in + i, n - i < 16 ? n - i : 16));
  }
  most = _mm_max_epu8(most, _mm_srli_si128(most, 8));
  most = _mm_max_epu8(most, _mm_srli_si128(most, 4));
  most = _mm_max_epu8(most, _mm_srli_si128(most, 2));
  most = _mm_max_epu8(most, _mm_srli_si128(most, 1));
  return static_cast<std::uint8_t>(_mm_cvtsi128_si32(most));
}

void softmax_row(const SoftmaxU8Params& params, const ByteSoftmax& softmax, const std::uint8_t* in,
                 std::uint8_t* out) {
  const std::int64_t n = params.count;
  const __m128i greatest = _mm_set1_epi8(static_cast<char>(greatest_byte(in, n)));
  // The distances of 16 bytes; those behind n are 0 or more than any, and take no part.
  const auto distances = [&](std::int64_t i) {
    return _mm_subs_epu8(greatest, load_partial(in + i, n - i < 16 ? n - i : 16));
  };
  __m256 sums = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m128i d = distances(i);
    __m256 first = softmax.exp(_mm256_cvtepu8_epi32(d));
    __m256 second = softmax.exp(_mm256_cvtepu8_epi32(_mm_srli_si128(d, 8)));
    if (n - i < 16) {
      first = _mm256_and_ps(first, _mm256_castsi256_ps(lane_mask(n - i)));
      second = _mm256_and_ps(second, _mm256_castsi256_ps(lane_mask(n - i - 8)));
    }
    sums = _mm256_add_ps(_mm256_add_ps(sums, first), second);
  }
  const float sum = sum_lanes(sums);
  const __m256 normalizer = _mm256_set1_ps(params.log ? log_of(sum) : sum);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m128i d = distances(i);
    const __m256i first = softmax.result(_mm256_cvtepu8_epi32(d), normalizer);
    const __m256i second = softmax.result(_mm256_cvtepu8_epi32(_mm_srli_si128(d, 8)), normalizer);
    store_partial(out + i, pack_u8(first, second), n - i < 16 ? n - i : 16);
  }
}

// Eight neighbouring columns.
void softmax_columns(const SoftmaxU8Params& params, const ByteSoftmax& softmax,
                     const std::uint8_t* in, std::uint8_t* out) {
  __m256i greatest = _mm256_setzero_si256();
  const auto x = [&](std::int64_t i) { return load_u8_s32(in + i * params.inner); };
  for (std::int64_t i = 0; i < params.count; ++i) greatest = _mm256_max_epi32(greatest, x(i));
  __m256 s[8];
  for (__m256& sum : s) sum = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < params.count; ++i) {
    s[i % 8] = _mm256_add_ps(s[i % 8], softmax.exp(_mm256_sub_epi32(greatest, x(i))));
  }
  const __m256 even = _mm256_add_ps(_mm256_add_ps(s[0], s[4]), _mm256_add_ps(s[2], s[6]));
  const __m256 odd = _mm256_add_ps(_mm256_add_ps(s[1], s[5]), _mm256_add_ps(s[3], s[7]));
  __m256 normalizer = _mm256_add_ps(even, odd);
  if (params.log) {
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, normalizer);
    for (float& lane : lanes) lane = log_of(lane);
    normalizer = _mm256_load_ps(lanes);
  }
  for (std::int64_t i = 0; i < params.count; ++i) {
    const __m256i q = softmax.result(_mm256_sub_epi32(greatest, x(i)), normalizer);
    store_partial(out + i * params.inner, pack_u8(q, q), 8);
  }
}

}  // namespace

void softmax_f32_avx2(const SoftmaxParams& params, const float* in, std::int64_t begin,
                      std::int64_t end, float* out) noexcept {
  if (params.inner == 1) return softmax_row(params, in, out);
  for (; begin + 8 <= end; begin += 8) softmax_columns(params, in + begin, out + begin);
  if (begin < end) softmax_f32_reference(params, in, begin, end, out);
}

void softmax_u8_avx2(const SoftmaxU8Params& params, const std::uint8_t* in, std::int64_t begin,
                     std::int64_t end, std::uint8_t* out) noexcept {
  const ByteSoftmax softmax(params);
  if (params.inner == 1) return softmax_row(params, softmax, in, out);
  for (; begin + 8 <= end; begin += 8) softmax_columns(params, softmax, in + begin, out + begin);
  if (begin < end) softmax_u8_reference(params, in, begin, end, out);
}

}  // namespace enn

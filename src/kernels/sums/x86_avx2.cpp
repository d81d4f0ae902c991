#include "kernels/x86_avx2.hpp"

#include "kernels/sums/sums.hpp"

namespace enn {
namespace {

// The lanes of a run: the first eight, the others.
struct LanePair {
  __m256 first = _mm256_setzero_ps();
  __m256 second = _mm256_setzero_ps();
};

inline void add_lanes(const LanePair& lanes, double& sum) {
  float values[kSumLanes];
  _mm256_storeu_ps(values, lanes.first);
  _mm256_storeu_ps(values + 8, lanes.second);
  for (const float value : values) sum += static_cast<double>(value);
}

inline __m256 magnitude(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x); }

inline void add_square(__m256 x, __m256& sum) { sum = _mm256_add_ps(sum, _mm256_mul_ps(x, x)); }

// Eight elements at a time.
class Error {
 public:
  explicit Error(const ErrorParams& params)
      : inv_scale_(_mm256_set1_ps(params.inv_scale)),
        scale_(_mm256_set1_ps(params.scale)),
        low_(_mm256_set1_ps(params.low)),
        high_(_mm256_set1_ps(params.high)),
        below_(_mm256_set1_ps(params.low - 0.5F)),
        above_(_mm256_set1_ps(params.high + 0.5F)) {}

  [[nodiscard]] __m256 rounded(__m256 x) {
    const __m256 steps = _mm256_mul_ps(x, inv_scale_);
    const __m256 outside = _mm256_or_ps(_mm256_cmp_ps(steps, below_, _CMP_LT_OQ),
                                        _mm256_cmp_ps(steps, above_, _CMP_GT_OQ));
    clipped_ = _mm256_sub_epi32(clipped_, _mm256_castps_si256(outside));
    const __m256 clamped = _mm256_min_ps(_mm256_max_ps(steps, low_), high_);
    constexpr int kHalfEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return _mm256_mul_ps(_mm256_round_ps(clamped, kHalfEven), scale_);
  }

  inline void add(__m256 reference, __m256 y, __m256& squares, __m256& errors) {
    const __m256 error = _mm256_sub_ps(reference, y);
    add_square(y, squares);
    add_square(error, errors);
    largest_ = _mm256_max_ps(magnitude(error), largest_);
  }

  void add_to(ElementErrors& sums) const {
    float largest[8];
    _mm256_storeu_ps(largest, largest_);
    for (const float value : largest) sums.largest = value > sums.largest ? value : sums.largest;
    std::int32_t clipped[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(clipped), clipped_);
    for (const std::int32_t count : clipped) sums.clipped += count;
  }

 private:
  __m256 inv_scale_;
  __m256 scale_;
  __m256 low_;
  __m256 high_;
  __m256 below_;
  __m256 above_;
  __m256 largest_ = _mm256_setzero_ps();
  __m256i clipped_ = _mm256_setzero_si256();
};

template <bool Rounds>
inline void add_errors(const ErrorParams& params, const float* reference, const float* in,
                       std::int64_t n, ElementErrors& sums) {
  Error error(params);
  for (std::int64_t begin = 0; begin < n; begin += kSumRun) {
    LanePair squares;
    LanePair errors;
    const std::int64_t end = begin + kSumRun < n ? begin + kSumRun : n;
    for (std::int64_t i = begin; i < end; i += kSumLanes) {
      __m256 first = _mm256_loadu_ps(in + i);
      __m256 second = _mm256_loadu_ps(in + i + 8);
      if (Rounds) {
        first = error.rounded(first);
        second = error.rounded(second);
      }
      error.add(_mm256_loadu_ps(reference + i), first, squares.first, errors.first);
      error.add(_mm256_loadu_ps(reference + i + 8), second, squares.second, errors.second);
    }
    add_lanes(squares, sums.squares);
    add_lanes(errors, sums.errors);
  }
  error.add_to(sums);
}

}  // namespace

void sums_f32_avx2(const float* in, std::int64_t n, ElementSums& sums) noexcept {
  __m256 low = _mm256_set1_ps(sums.low);
  __m256 high = _mm256_set1_ps(sums.high);
  for (std::int64_t begin = 0; begin < n; begin += kSumRun) {
    LanePair squares;
    LanePair magnitudes;
    const std::int64_t end = begin + kSumRun < n ? begin + kSumRun : n;
    for (std::int64_t i = begin; i < end; i += kSumLanes) {
      const __m256 first = _mm256_loadu_ps(in + i);
      const __m256 second = _mm256_loadu_ps(in + i + 8);
      add_square(first, squares.first);
      add_square(second, squares.second);
      magnitudes.first = _mm256_add_ps(magnitudes.first, magnitude(first));
      magnitudes.second = _mm256_add_ps(magnitudes.second, magnitude(second));
      low = _mm256_min_ps(_mm256_min_ps(first, second), low);
      high = _mm256_max_ps(_mm256_max_ps(first, second), high);
    }
    add_lanes(squares, sums.squares);
    add_lanes(magnitudes, sums.magnitudes);
  }
  float values[8];
  _mm256_storeu_ps(values, low);
  for (const float value : values) sums.low = value < sums.low ? value : sums.low;
  _mm256_storeu_ps(values, high);
  for (const float value : values) sums.high = value > sums.high ? value : sums.high;
}

void errors_f32_f32_avx2(const ErrorParams& params, const float* reference, const float* in,
                         std::int64_t n, ElementErrors& sums) noexcept {
  if (params.rounds) {
    add_errors<true>(params, reference, in, n, sums);
  } else {
    add_errors<false>(params, reference, in, n, sums);
  }
}

}  // namespace enn

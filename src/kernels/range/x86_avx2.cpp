#include "kernels/x86_avx2.hpp"

#include "kernels/range/range.hpp"

namespace enn {
namespace {

// The first n lanes of eight, 0 <= n < 8.
inline __m256i first_lanes(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}

// Bins of eight elements.
class Binning {
 public:
  explicit Binning(const HistogramParams& params)
      : low_(_mm256_set1_ps(params.low)),
        high_(_mm256_set1_ps(params.high)),
        width_(_mm256_set1_ps(params.high - params.low)),
        bins_(_mm256_set1_ps(static_cast<float>(params.bins))),
        last_(_mm256_set1_epi32(params.bins - 1)) {}

  // Lanes outside the range hold -1.
  [[nodiscard]] __m256i operator()(__m256 x) const {
    const __m256 inside =
        _mm256_and_ps(_mm256_cmp_ps(x, low_, _CMP_GE_OQ), _mm256_cmp_ps(x, high_, _CMP_LE_OQ));
    const __m256 position = _mm256_div_ps(_mm256_mul_ps(_mm256_sub_ps(x, low_), bins_), width_);
    const __m256i bin = _mm256_min_epi32(_mm256_cvttps_epi32(position), last_);
    const __m256i outside = _mm256_xor_si256(_mm256_castps_si256(inside), _mm256_set1_epi32(-1));
    return _mm256_or_si256(bin, outside);
  }

 private:
  __m256 low_;
  __m256 high_;
  __m256 width_;
  __m256 bins_;
  __m256i last_;
};

inline std::int64_t count_lanes(__m256 mask) {
  return __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(mask)));
}

}  // namespace

void minmax_f32_avx2(const float* in, std::int64_t n, Range& range) noexcept {
  const __m256 infinity = _mm256_set1_ps(__builtin_inff());
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  __m256 low[4];
  __m256 high[4];
  for (int k = 0; k < 4; ++k) {
    low[k] = infinity;
    high[k] = _mm256_set1_ps(-__builtin_inff());
  }
  // Elements that are not finite are rare: a block that has one is looked at again, lane by lane.
  const auto add = [&](int k, __m256 x) {
    const __m256 size = _mm256_and_ps(x, magnitude);
    const __m256 finite = _mm256_cmp_ps(size, infinity, _CMP_LT_OQ);
    if (_mm256_movemask_ps(finite) != 0xFF) [[unlikely]] {
      range.nans += count_lanes(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
      range.infinities += count_lanes(_mm256_cmp_ps(size, infinity, _CMP_EQ_OQ));
    }
    low[k] = _mm256_min_ps(low[k], _mm256_blendv_ps(low[k], x, finite));
    high[k] = _mm256_max_ps(high[k], _mm256_blendv_ps(high[k], x, finite));
  };
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    for (int k = 0; k < 4; ++k) add(k, _mm256_loadu_ps(in + i + 8 * k));
  }
  for (; i + 8 <= n; i += 8) add(0, _mm256_loadu_ps(in + i));
  alignas(32) float lanes[8];
  const auto fold = [&](__m256 least, __m256 most) {
    _mm256_store_ps(lanes, least);
    for (const float lane : lanes) range.low = lane < range.low ? lane : range.low;
    _mm256_store_ps(lanes, most);
    for (const float lane : lanes) range.high = lane > range.high ? lane : range.high;
  };
  for (int k = 0; k < 4; ++k) fold(low[k], high[k]);
  if (i < n) {
    const __m256i mask = first_lanes(n - i);
    const __m256 x = _mm256_maskload_ps(in + i, mask);  // zero behind the end
    const __m256 size = _mm256_and_ps(x, magnitude);
    const __m256 finite = _mm256_cmp_ps(size, infinity, _CMP_LT_OQ);
    range.nans += count_lanes(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    range.infinities += count_lanes(_mm256_cmp_ps(size, infinity, _CMP_EQ_OQ));
    const __m256 counted = _mm256_and_ps(finite, _mm256_castsi256_ps(mask));
    fold(_mm256_blendv_ps(infinity, x, counted),
         _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), x, counted));
  }
}

void histogram_f32_u32_avx2(const HistogramParams& params, const float* in, std::int64_t n,
                            std::uint32_t* counts) noexcept {
  const Binning binning(params);
  // Neighbours often fall in one bin: four copies keep an increment from waiting for the one
  // before.
  std::uint32_t* copies[kHistogramCopies];
  for (int k = 0; k < kHistogramCopies; ++k) copies[k] = counts + std::int64_t{params.bins} * k;
  alignas(32) std::int32_t bin[8];
  const auto count_all = [&] {
    for (int k = 0; k < 8; ++k) ++copies[k % kHistogramCopies][bin[k]];
  };
  const auto count_some = [&](std::int64_t lanes) {
    for (std::int64_t k = 0; k < lanes; ++k) {
      if (bin[k] >= 0) ++copies[k % kHistogramCopies][bin[k]];
    }
  };
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i bins = binning(_mm256_loadu_ps(in + i));
    _mm256_store_si256(reinterpret_cast<__m256i*>(bin), bins);
    if (_mm256_movemask_ps(_mm256_castsi256_ps(bins)) == 0) [[likely]] {
      count_all();
    } else {
      count_some(8);
    }
  }
  if (i < n) {
    const __m256i mask = first_lanes(n - i);
    _mm256_store_si256(reinterpret_cast<__m256i*>(bin), binning(_mm256_maskload_ps(in + i, mask)));
    count_some(n - i);
  }
}

}  // namespace enn

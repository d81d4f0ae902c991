#include <immintrin.h>

#include "kernels/range/range.hpp"

namespace enn {
namespace {

// Bins of sixteen elements.
class Binning {
 public:
  explicit Binning(const HistogramParams& params)
      : low_(_mm512_set1_ps(params.low)),
        high_(_mm512_set1_ps(params.high)),
        width_(_mm512_set1_ps(params.high - params.low)),
        bins_(_mm512_set1_ps(static_cast<float>(params.bins))),
        last_(_mm512_set1_epi32(params.bins - 1)) {}

  [[nodiscard]] __mmask16 inside(__m512 x) const {
    return _mm512_cmp_ps_mask(x, low_, _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, high_, _CMP_LE_OQ);
  }
  [[nodiscard]] __m512i operator()(__m512 x) const {
    const __m512 position = _mm512_div_ps(_mm512_mul_ps(_mm512_sub_ps(x, low_), bins_), width_);
    return _mm512_min_epi32(_mm512_cvttps_epi32(position), last_);
  }

 private:
  __m512 low_;
  __m512 high_;
  __m512 width_;
  __m512 bins_;
  __m512i last_;
};

constexpr std::int64_t kBlock = 512;
static_assert(kBlock % kHistogramCopies == 0);

}  // namespace

// Adding to counters in memory takes most of the time. After a ReLU half of the elements are zero:
// those in zero's bin are counted with masks, the bins of the others wait in a block.
void histogram_f32_u32_avx512vnni(const HistogramParams& params, const float* in, std::int64_t n,
                                  std::uint32_t* counts) noexcept {
  const Binning binning(params);
  std::uint32_t* copies[kHistogramCopies];
  for (int k = 0; k < kHistogramCopies; ++k) copies[k] = counts + std::int64_t{params.bins} * k;
  // Any bin will do where the range has no zero.
  const bool has_zero = params.low <= 0.0F && params.high >= 0.0F;
  const std::int32_t zero =
      has_zero ? _mm512_cvtsi512_si32(binning(_mm512_setzero_ps())) : params.bins - 1;
  const __m512i zeros = _mm512_set1_epi32(zero);
  std::uint32_t in_zero = 0;
  alignas(64) std::int32_t block[kBlock + 16];
  std::int64_t waiting = 0;
  const auto add = [&](__m512 x, __mmask16 taken) {
    const __m512i bins = binning(x);
    const __mmask16 counted = taken & binning.inside(x);
    const __mmask16 at_zero = _mm512_mask_cmpeq_epi32_mask(counted, bins, zeros);
    const auto others = static_cast<__mmask16>(counted & ~at_zero);
    in_zero += static_cast<std::uint32_t>(__builtin_popcount(at_zero));
    _mm512_storeu_si512(block + waiting, _mm512_maskz_compress_epi32(others, bins));
    waiting += __builtin_popcount(others);
  };
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    add(_mm512_loadu_ps(in + i), 0xFFFF);
    if (waiting < kBlock) continue;
    for (std::int64_t k = 0; k < kBlock; k += kHistogramCopies) {
      for (int copy = 0; copy < kHistogramCopies; ++copy) ++copies[copy][block[k + copy]];
    }
    _mm512_store_si512(block, _mm512_load_si512(block + kBlock));
    waiting -= kBlock;
  }
  if (i < n) {
    const auto taken = static_cast<__mmask16>((1U << static_cast<unsigned>(n - i)) - 1U);
    add(_mm512_maskz_loadu_ps(taken, in + i), taken);
  }
  for (std::int64_t k = 0; k < waiting; ++k) ++copies[k % kHistogramCopies][block[k]];
  copies[0][zero] += in_zero;
}

}  // namespace enn

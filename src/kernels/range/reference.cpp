#include <algorithm>
#include <cmath>

#include "kernels/range/range.hpp"

namespace enn {

void minmax_f32_reference(const float* in, std::int64_t n, Range& range) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(in[i])) {
      ++range.nans;
    } else if (std::isinf(in[i])) {
      ++range.infinities;
    } else {
      range.low = std::min(range.low, in[i]);
      range.high = std::max(range.high, in[i]);
    }
  }
}

void histogram_f32_u32_reference(const HistogramParams& params, const float* in, std::int64_t n,
                                 std::uint32_t* counts) noexcept {
  const float width = params.high - params.low;
  const auto bins = static_cast<float>(params.bins);
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(in[i] >= params.low && in[i] <= params.high)) continue;
    const auto bin = static_cast<std::int32_t>((in[i] - params.low) * bins / width);
    ++counts[std::min(bin, params.bins - 1)];
  }
}

}  // namespace enn

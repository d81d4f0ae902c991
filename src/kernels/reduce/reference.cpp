#include <cmath>

#include "kernels/quantization.hpp"
#include "kernels/reduce/reduce.hpp"

namespace enn {

void mean_u8_reference(const MeanParams& params, const std::uint8_t* in, std::int64_t begin,
                       std::int64_t end, std::uint8_t* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    std::int32_t sum = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      sum += in[j * params.inner + i] - params.input_zero_point;
    }
    out[i] = static_cast<std::uint8_t>(
        round_and_clamp(static_cast<float>(sum) * params.multiplier, params.zero_point, 0, 255));
  }
}

void mean_f32_reference(const MeanParams& params, double divisor, const float* in,
                        std::int64_t begin, std::int64_t end, float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    out[i] = static_cast<float>(sum_of(in + i, params.count, params.inner) / divisor);
  }
}

void prod_f32(const MeanParams& params, const float* in, std::int64_t begin, std::int64_t end,
              float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    out[i] = static_cast<float>(product_of(in + i, params.count, params.inner));
  }
}

void variance_f32(const MeanParams& params, double divisor, bool root, const float* in,
                  std::int64_t begin, std::int64_t end, float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    const double variance = variance_of(in + i, params.count, params.inner, divisor);
    out[i] = static_cast<float>(root ? std::sqrt(variance) : variance);
  }
}

}  // namespace enn

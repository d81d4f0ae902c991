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
    double sum = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      sum += static_cast<double>(in[j * params.inner + i]);
    }
    out[i] = static_cast<float>(sum / divisor);
  }
}

void prod_f32(const MeanParams& params, const float* in, std::int64_t begin, std::int64_t end,
              float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    double product = 1;
    for (std::int64_t j = 0; j < params.count; ++j) {
      product *= static_cast<double>(in[j * params.inner + i]);
    }
    out[i] = static_cast<float>(product);
  }
}

void variance_f32(const MeanParams& params, double divisor, bool root, const float* in,
                  std::int64_t begin, std::int64_t end, float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      sum += static_cast<double>(in[j * params.inner + i]);
    }
    const double mean = sum / static_cast<double>(params.count);
    double squares = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      const double distance = static_cast<double>(in[j * params.inner + i]) - mean;
      squares += distance * distance;
    }
    const double variance = squares / divisor;
    out[i] = static_cast<float>(root ? std::sqrt(variance) : variance);
  }
}

}  // namespace enn

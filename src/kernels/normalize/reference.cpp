#include <cmath>

#include "kernels/normalize/normalize.hpp"
#include "kernels/quantization.hpp"

namespace enn {
namespace {

template <typename Term>
double sum_of_eight(std::int64_t count, const Term& term) {
  double s[8] = {};
  for (std::int64_t i = 0; i < count; ++i) s[i % 8] += term(i);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

}  // namespace

float reciprocal_deviation(double variance, float eps) noexcept {
  return static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(eps)));
}

NormalizedRow normalized_row(const NormalizeParams& params, std::int64_t sum,
                             std::int64_t squares) noexcept {
  const auto length = static_cast<double>(params.length);
  const auto scale = static_cast<double>(params.scale);
  const double mean = params.center ? static_cast<double>(sum) / length : 0.0;
  const double variance =
      params.center ? static_cast<double>(params.length * squares - sum * sum) / (length * length)
                    : static_cast<double>(squares) / length;
  const double factor =
      scale / std::sqrt(scale * scale * variance + static_cast<double>(params.eps));
  NormalizedRow row;
  row.scale = static_cast<float>(factor);
  row.shift = static_cast<float>(-(static_cast<double>(params.zero_point) + mean) * factor);
  return row;
}

void normalize_f32_reference(const NormalizeParams& params, const float* in, std::int64_t begin,
                             std::int64_t end, float* out) noexcept {
  const auto length = static_cast<double>(params.length);
  for (std::int64_t row = begin; row < end; ++row) {
    const float* x = in + row * params.length;
    float* y = out + row * params.length;
    double mean = 0.0;
    if (params.center) {
      mean =
          sum_of_eight(params.length, [&](std::int64_t i) { return static_cast<double>(x[i]); }) /
          length;
    }
    const double squares = sum_of_eight(params.length, [&](std::int64_t i) {
      const double difference = static_cast<double>(x[i]) - mean;
      return difference * difference;
    });
    const auto shift = static_cast<float>(mean);
    const float factor = reciprocal_deviation(squares / length, params.eps);
    const std::int64_t first = row % params.groups * (params.length / params.inner);
    for (std::int64_t i = 0; i < params.length; ++i) {
      const std::int64_t p = first + i / params.inner;
      y[i] = std::fma((x[i] - shift) * factor, params.weight[p], params.bias[p]);
    }
  }
}

void normalize_u8_reference(const NormalizeParams& params, const std::uint8_t* in,
                            std::int64_t begin, std::int64_t end, std::uint8_t* out) noexcept {
  for (std::int64_t row = begin; row < end; ++row) {
    const std::uint8_t* x = in + row * params.length;
    std::uint8_t* y = out + row * params.length;
    std::int64_t sum = 0;
    std::int64_t squares = 0;
    for (std::int64_t i = 0; i < params.length; ++i) {
      const std::int64_t q = x[i] - params.zero_point;
      sum += q;
      squares += q * q;
    }
    const NormalizedRow normalized = normalized_row(params, sum, squares);
    const std::int64_t first = row % params.groups * (params.length / params.inner);
    for (std::int64_t i = 0; i < params.length; ++i) {
      const std::int64_t p = first + i / params.inner;
      const float v = std::fma(static_cast<float>(x[i]), normalized.scale, normalized.shift);
      y[i] = static_cast<std::uint8_t>(round_and_clamp(
          std::fma(v, params.weight[p], params.bias[p]), params.output_zero_point, 0, 255));
    }
  }
}

}  // namespace enn

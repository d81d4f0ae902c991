#include <cmath>
#include <limits>

#include "kernels/exp_f32.hpp"
#include "kernels/quantization.hpp"
#include "kernels/softmax/softmax.hpp"

namespace enn {
namespace {

// The sum of term(0) … term(count - 1) in the contract's order.
template <typename Term>
float sum_of_eight(std::int64_t count, const Term& term) {
  float s[8] = {};
  for (std::int64_t i = 0; i < count; ++i) s[i % 8] += term(i);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

float log_of(float sum) { return static_cast<float>(std::log(static_cast<double>(sum))); }

}  // namespace

std::array<float, 256> softmax_exp_table(float scale) {
  std::array<float, 256> table{};
  for (std::size_t d = 0; d < table.size(); ++d) {
    table[d] = exp_of_nonpositive(-static_cast<float>(d) * scale);
  }
  return table;
}

void softmax_f32_reference(const SoftmaxParams& params, const float* in, std::int64_t begin,
                           std::int64_t end, float* out) noexcept {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (std::int64_t column = begin; column < end; ++column) {
    const auto x = [&](std::int64_t i) { return in[i * params.inner + column]; };
    float* result = out + column;
    float greatest = kLowest;
    for (std::int64_t i = 0; i < params.count; ++i) greatest = x(i) > greatest ? x(i) : greatest;
    const float sum = sum_of_eight(
        params.count, [&](std::int64_t i) { return exp_of_nonpositive(x(i) - greatest); });
    const float log_sum = params.log ? log_of(sum) : 0.0F;
    bool masked = params.safe;
    for (std::int64_t i = 0; masked && i < params.count; ++i) masked = x(i) == kLowest;
    for (std::int64_t i = 0; i < params.count; ++i) {
      const float shifted = x(i) - greatest;
      const float v = params.log ? shifted - log_sum : exp_of_nonpositive(shifted) / sum;
      result[i * params.inner] = masked ? 0.0F : v;
    }
  }
}

void softmax_u8_reference(const SoftmaxU8Params& params, const std::uint8_t* in, std::int64_t begin,
                          std::int64_t end, std::uint8_t* out) noexcept {
  for (std::int64_t column = begin; column < end; ++column) {
    const std::uint8_t* x = in + column;
    std::int32_t greatest = 0;
    for (std::int64_t i = 0; i < params.count; ++i) {
      greatest = x[i * params.inner] > greatest ? x[i * params.inner] : greatest;
    }
    const auto distance = [&](std::int64_t i) {
      return static_cast<std::size_t>(greatest - x[i * params.inner]);
    };
    const float sum =
        sum_of_eight(params.count, [&](std::int64_t i) { return params.exp.data()[distance(i)]; });
    const float log_sum = params.log ? log_of(sum) : 0.0F;
    for (std::int64_t i = 0; i < params.count; ++i) {
      const std::size_t d = distance(i);
      const float v =
          params.log ? -static_cast<float>(d) * params.scale - log_sum : params.exp.data()[d] / sum;
      out[i * params.inner + column] = static_cast<std::uint8_t>(
          round_and_clamp(v * params.inv_scale, params.zero_point, 0, 255));
    }
  }
}

}  // namespace enn

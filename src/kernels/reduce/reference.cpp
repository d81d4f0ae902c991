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

void mean_f32(const MeanParams& params, const float* in, std::int64_t begin, std::int64_t end,
              float* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      sum += static_cast<double>(in[j * params.inner + i]);
    }
    out[i] = static_cast<float>(sum / static_cast<double>(params.count));
  }
}

}  // namespace enn

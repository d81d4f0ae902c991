#include "kernels/quantization.hpp"
#include "kernels/resample/resample.hpp"

namespace enn {
namespace {

// The weighted sum of one channel; real(x) is the value of a stored element.
template <typename T, typename Real>
float weighted_sum(const ResampleParams& params, const ResamplePixel& pixel, std::int64_t channel,
                   const Real& real) {
  float sum = 0.0F;
  for (int r = 0; r < params.taps; ++r) {
    const auto* row = static_cast<const char*>(pixel.rows[r]);
    float line = 0.0F;
    for (int s = 0; s < params.taps; ++s) {
      const float value = real(reinterpret_cast<const T*>(row + pixel.columns[s])[channel]);
      const float product = value * pixel.column_weights[s];
      line = s == 0 ? product : line + product;
    }
    const float product = line * pixel.row_weights[r];
    sum = r == 0 ? product : sum + product;
  }
  return sum;
}

}  // namespace

void resample_u8_reference(const ResampleParams& params, const ResamplePixel& pixel,
                           void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    const float sum = weighted_sum<std::uint8_t>(params, pixel, c, [&](std::uint8_t x) {
      return static_cast<float>(x - params.input_zero_point) * params.input_scale;
    });
    result[c] = static_cast<std::uint8_t>(
        round_and_clamp(sum * params.inv_scale, params.zero_point, 0, 255));
  }
}

void resample_f32_reference(const ResampleParams& params, const ResamplePixel& pixel,
                            void* out) noexcept {
  auto* result = static_cast<float*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    result[c] = weighted_sum<float>(params, pixel, c, [](float x) { return x; });
  }
}

}  // namespace enn

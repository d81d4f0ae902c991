#include "kernels/quantization.hpp"
#include "kernels/quantize/quantize.hpp"

namespace enn {

void quantize_f32_reference(const QuantizeParams& params, const Block& block, const float* in,
                            std::uint8_t* out) noexcept {
  for (std::int64_t i = 0; i < block.rows; ++i) {
    for (std::int64_t j = 0; j < block.columns; ++j) {
      const float x = in[i * block.row_stride + j * block.column_stride];
      out[i * block.columns + j] = static_cast<std::uint8_t>(round_and_clamp(
          x * params.inv_scale, params.zero_point, params.quant_min, params.quant_max));
    }
  }
}

void dequantize_f32_reference(const DequantizeParams& params, const Block& block,
                              const std::uint8_t* in, float* out) noexcept {
  for (std::int64_t i = 0; i < block.rows; ++i) {
    for (std::int64_t j = 0; j < block.columns; ++j) {
      const std::uint8_t byte = in[i * block.row_stride + j * block.column_stride];
      const std::int32_t q = params.is_signed ? static_cast<std::int8_t>(byte) : byte;
      out[i * block.columns + j] = static_cast<float>(q - params.zero_point) * params.scale;
    }
  }
}

}  // namespace enn

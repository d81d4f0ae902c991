// Between float32 and 8 bits, over a block of a permuted tensor (kernels/copy/copy.hpp), as torchao
// computes it in float32.
//
// Quantize:   out = clamp(round_half_even(in * inv_scale) + zero_point, quant_min, quant_max); NaN
// gives
//             quant_min. The result is stored as a byte: UInt8, or Int8 in two's complement.
// Dequantize: out = float(in - zero_point) * scale, `in` UInt8 or Int8.
#pragma once

#include <cstdint>

#include "kernels/copy/copy.hpp"
#include "kernels/kernel_row.hpp"

namespace enn {

// Preconditions: -128 <= quant_min <= quant_max <= 255, zero_point in [-128, 255], inv_scale
// finite.
struct QuantizeParams {
  float inv_scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t quant_min = 0;
  std::int32_t quant_max = 255;
};

struct DequantizeParams {
  float scale = 1;
  std::int32_t zero_point = 0;
  bool is_signed = false;
};

using QuantizeKernel = void (*)(const QuantizeParams& params, const Block& block, const float* in,
                                std::uint8_t* out) noexcept;
using DequantizeKernel = void (*)(const DequantizeParams& params, const Block& block,
                                  const std::uint8_t* in, float* out) noexcept;

#define ENN_QUANTIZE(name, ...)                                                \
  void name(const QuantizeParams& params, const Block& block, const float* in, \
            std::uint8_t* out) noexcept;
#define ENN_DEQUANTIZE(name, ...)                                                       \
  void name(const DequantizeParams& params, const Block& block, const std::uint8_t* in, \
            float* out) noexcept;
#include "kernels/quantize/kernels.def"
#undef ENN_QUANTIZE
#undef ENN_DEQUANTIZE

inline constexpr KernelRow<QuantizeKernel> kQuantizeKernels[] = {
#define ENN_QUANTIZE(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_DEQUANTIZE(name, ...)
#include "kernels/quantize/kernels.def"
#undef ENN_QUANTIZE
#undef ENN_DEQUANTIZE
};
inline constexpr KernelRow<DequantizeKernel> kDequantizeKernels[] = {
#define ENN_QUANTIZE(name, ...)
#define ENN_DEQUANTIZE(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/quantize/kernels.def"
#undef ENN_QUANTIZE
#undef ENN_DEQUANTIZE
};

}  // namespace enn

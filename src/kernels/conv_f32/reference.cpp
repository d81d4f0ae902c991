#include <cmath>

#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {

void conv_f32_reference(const ConvF32Args& args, const ConvF32Part& part) noexcept;

void conv_f32_reference(const ConvF32Args& args, const ConvF32Part& part) noexcept {
  const ConvGeometry& g = args.geometry;
  const std::int64_t cg = g.group_in();
  const float* weights = args.packed_weight + g.in_c;
  for (std::int64_t pixel = part.pixel_begin; pixel < part.pixel_end; ++pixel) {
    const std::int64_t n = pixel / (g.out_h * g.out_w);
    const std::int64_t p = pixel / g.out_w % g.out_h;
    const std::int64_t q = pixel % g.out_w;
    for (std::int64_t k = part.panel_begin; k < part.panel_end; ++k) {
      const std::int64_t group = k / g.group_out();
      const float* weight = weights + k * g.depth();
      float acc = args.bias[k];
      for (std::int64_t r = 0; r < g.kernel_h; ++r) {
        const std::int64_t h = p * g.stride_h - g.pad_top + r * g.dilation_h;
        for (std::int64_t s = 0; s < g.kernel_w; ++s) {
          const std::int64_t w = q * g.stride_w - g.pad_left + s * g.dilation_w;
          const bool inside = h >= 0 && h < g.in_h && w >= 0 && w < g.in_w;
          const float* x = args.input + ((n * g.in_h + h) * g.in_w + w) * g.in_c + group * cg;
          for (std::int64_t c = 0; c < cg; ++c) {
            acc = std::fma(inside ? x[c] : 0.0F, *weight++, acc);
          }
        }
      }
      acc = acc > args.activation_min ? acc : args.activation_min;
      acc = acc < args.activation_max ? acc : args.activation_max;
      args.output[pixel * g.out_c + k] = acc;
    }
  }
}

}  // namespace enn

#include <cmath>

#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {

void pack_conv_f32_weight(const ConvGeometry& g, const float* weight, float* packed) {
  const std::int64_t depth = g.depth();
  for (std::int64_t k = 0; k < g.out_c; ++k) {
    const std::int64_t group = k / g.group_out();
    float* column = packed + group * depth * g.group_out() + k % g.group_out();
    for (std::int64_t i = 0; i < depth; ++i) column[i * g.group_out()] = weight[k * depth + i];
  }
}

void conv_f32_reference(const ConvF32Args& args, std::int64_t begin, std::int64_t end) noexcept {
  const ConvGeometry& g = args.geometry;
  const std::int64_t cg = g.group_in();
  const std::int64_t kg = g.group_out();
  for (std::int64_t pixel = begin; pixel < end; ++pixel) {
    const std::int64_t n = pixel / (g.out_h * g.out_w);
    const std::int64_t p = pixel / g.out_w % g.out_h;
    const std::int64_t q = pixel % g.out_w;
    for (std::int64_t k = 0; k < g.out_c; ++k) {
      const std::int64_t group = k / kg;
      const float* weight = args.packed_weight + group * g.depth() * kg + k % kg;
      float acc = args.bias[k];
      for (std::int64_t r = 0; r < g.kernel_h; ++r) {
        const std::int64_t h = p * g.stride_h - g.pad_top + r * g.dilation_h;
        if (h < 0 || h >= g.in_h) continue;
        for (std::int64_t s = 0; s < g.kernel_w; ++s) {
          const std::int64_t w = q * g.stride_w - g.pad_left + s * g.dilation_w;
          if (w < 0 || w >= g.in_w) continue;
          const float* x = args.input + ((n * g.in_h + h) * g.in_w + w) * g.in_c + group * cg;
          const float* y = weight + (r * g.kernel_w + s) * cg * kg;
          for (std::int64_t c = 0; c < cg; ++c) acc = std::fma(x[c], y[c * kg], acc);
        }
      }
      acc = acc > args.activation_min ? acc : args.activation_min;
      acc = acc < args.activation_max ? acc : args.activation_max;
      args.output[pixel * g.out_c + k] = acc;
    }
  }
}

}  // namespace enn

// Float convolution.
//
//   out[n][p][q][k] = clamp(acc, activation_min, activation_max)
//   acc = bias[k], then fma(in[...], weight[...], acc) in the order r, s, c over the taps inside
//   the input
//
// with the geometry of kernels/conv/conv.hpp. The order of the sum is part of the contract: every
// kernel gives the same bits. NaN in the accumulator gives activation_min.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.hpp"
#include "kernels/kernel_row.hpp"

namespace enn {

struct ConvF32Args {
  ConvGeometry geometry;
  // [groups][kernel_h][kernel_w][in_c / groups][out_c / groups]
  const float* packed_weight = nullptr;
  const float* bias = nullptr;
  float activation_min = 0;
  float activation_max = 0;
  const float* input = nullptr;
  float* output = nullptr;
};

// Computes output pixels [begin, end), counted in the order of memory.
using ConvF32Kernel = void (*)(const ConvF32Args& args, std::int64_t begin,
                               std::int64_t end) noexcept;

#define ENN_KERNEL(name, ...) \
  void name(const ConvF32Args& args, std::int64_t begin, std::int64_t end) noexcept;
#include "kernels/conv_f32/kernels.def"
#undef ENN_KERNEL

inline constexpr KernelRow<ConvF32Kernel> kConvF32Kernels[] = {
#define ENN_KERNEL(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/conv_f32/kernels.def"
#undef ENN_KERNEL
};

// Reorders [out_c][kernel_h][kernel_w][in_c / groups] into the layout of ConvF32Args.
void pack_conv_f32_weight(const ConvGeometry& geometry, const float* weight, float* packed);

}  // namespace enn

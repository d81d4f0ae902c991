// Float convolution.
//
//   out[n][p][q][k] = clamp(acc, activation_min, activation_max)
//   acc = bias[k], then fma(in[...], weight[...], acc) in the order r, s, c
//
// with the geometry of kernels/conv/conv.hpp; positions outside the input hold 0. The order of the
// sum is part of the contract: every kernel gives the same bits. NaN in the accumulator gives
// activation_min.
#pragma once

#include <cstdint>
#include <span>

#include "base/cpu_features.hpp"
#include "enn/parallel.hpp"
#include "kernels/conv/conv.hpp"

namespace enn {

struct ConvF32Args {
  ConvGeometry geometry;
  const float* packed_weight = nullptr;  // pack_conv_f32_weight for the kernel that runs
  const float* bias = nullptr;
  float activation_min = 0;
  float activation_max = 0;
  const float* input = nullptr;
  float* output = nullptr;
};

// Part of a result: pixels in the order of memory, panels of output channels.
struct ConvF32Part {
  std::int64_t pixel_begin = 0, pixel_end = 0;
  std::int64_t panel_begin = 0, panel_end = 0;
};

// One row of kernels.def.
struct ConvF32Kernel {
  const char* name;
  CpuFeatures needs;
  // Only for as many groups as there are channels on both sides; the result is one panel.
  bool depthwise;
  std::int64_t rows;     // pixels that it computes together
  std::int64_t columns;  // output channels of a panel
  std::int64_t lanes;    // a narrower panel, the last of a group, has a multiple of these
  void (*run)(const ConvF32Args& args, const ConvF32Part& part) noexcept;
};

// All rows, best first; the last is the reference, which takes everything.
[[nodiscard]] std::span<const ConvF32Kernel> conv_f32_kernels();
[[nodiscard]] bool takes(const ConvF32Kernel& kernel, const ConvGeometry& geometry);
// The first row that `features` allow and that takes the geometry.
[[nodiscard]] const ConvF32Kernel& best_conv_f32(const ConvGeometry& geometry,
                                                 CpuFeatures features);

// Columns of a panel when `left` are still wanted.
[[nodiscard]] constexpr std::int64_t conv_f32_panel_width(std::int64_t left, std::int64_t columns,
                                                          std::int64_t lanes) {
  return left < columns ? (left + lanes - 1) / lanes * lanes : columns;
}
[[nodiscard]] std::int64_t conv_f32_panels(const ConvF32Kernel& kernel, const ConvGeometry& g);

// Floats that pack_conv_f32_weight writes.
[[nodiscard]] std::int64_t conv_f32_packed_size(const ConvF32Kernel& kernel, const ConvGeometry& g);
// Reorders [out_c][kernel_h][kernel_w][in_c / groups] for `kernel`. First in_c zeros, which stand
// for pixels outside the input, then
//   depthwise:  [kernel_h][kernel_w][out_c]
//   else:       [groups][panel][kernel_h][kernel_w][in_c / groups][columns of the panel],
// padded with zeros.
void pack_conv_f32_weight(const ConvF32Kernel& kernel, const ConvGeometry& g, const float* weight,
                          float* packed);

// Computes the whole result, split between the threads.
void run_conv_f32(const ConvF32Kernel& kernel, const ConvF32Args& args,
                  Parallel& parallel) noexcept;

}  // namespace enn

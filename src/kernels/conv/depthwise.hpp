// Depthwise convolution, groups == in_c == out_c: every channel on its own. A row of output pixels
// is computed from a table of tap addresses, in which padding points to a line of input_zero_point.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/conv/conv.hpp"

namespace enn {

// Channels are computed in groups of `width`; group g begins at channel min(g * width, channels -
// width), so that the last one overlaps its neighbour instead of leaving the tensor. Fewer channels
// than `width` are one group padded with zeros. Per-channel arrays hold `width` values for each
// group in turn.
struct DepthwiseRow {
  const std::uint8_t* const* taps =
      nullptr;  // pixel q's are taps[q * tap_step …], tap_count of them
  std::int64_t tap_step = 0;
  std::int64_t tap_count = 0;
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
  const std::int16_t* weights =
      nullptr;  // [groups][ceil(tap_count / 2)][width][2]: w - weight_zero_point
  const std::int32_t* init = nullptr;  // -input_zero_point * sum over taps of w - weight_zero_point
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  float low = 0;   // output_min - zero_point
  float high = 0;  // output_max - zero_point
  std::int32_t zero_point = 0;
  std::uint8_t* out = nullptr;  // [pixels][channels]
  ConvResidual residual;
  ConvFunction function;
  const float* slopes = nullptr;  // as multiplier, or null: see ConvProblem
};

struct DepthwiseKernel {
  std::int64_t width = 0;
  // order[i] is the channel, counted from the group's first, of the i-th value of a per-channel
  // array.
  const std::uint8_t* order = nullptr;
  // Reads `width` bytes from each tap (`channels` when there are fewer) and writes exactly the row.
  void (*row)(const DepthwiseRow& row) noexcept = nullptr;
};

// nullptr unless the problem is depthwise.
[[nodiscard]] std::unique_ptr<Conv> make_depthwise_conv(const char* name,
                                                        const DepthwiseKernel& kernel,
                                                        const ConvProblem& problem,
                                                        int max_threads);

}  // namespace enn

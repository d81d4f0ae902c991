// Resampling of NHWC images, to another size or at the places that a grid gives: the `channels`
// values of one result pixel from up to 4 x 4 taps.
//
//   sum = row_weight[0] * (column_weight[0] * v[0][0] + column_weight[1] * v[0][1] + ...)
//       + row_weight[1] * (...) + ...
// in this order, each product and sum rounded to float32. v are the values themselves, or of UInt8
// float(x - input_zero_point) * input_scale, and then
//   out = clamp(round_half_even(sum * inv_scale) + zero_point, 0, 255).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel_row.hpp"

namespace enn {

enum class ResampleMode : std::uint8_t { Nearest, NearestExact, Linear, Cubic };

inline constexpr int kMaxTaps = 4;

// Where one result position lies on the input's axis: indices in [0, in) and their weights.
struct AxisTaps {
  std::int64_t index[kMaxTaps] = {};
  float weight[kMaxTaps] = {};
};

// How many of AxisTaps count.
[[nodiscard]] int tap_count(ResampleMode mode);

// Taps of result position `i`, as ATen finds them (UpSample.h): in and out are the axis' sizes,
// `ratio` >= 0 is input steps per result step. Preconditions: in, out >= 1, ratio finite.
[[nodiscard]] AxisTaps axis_taps(ResampleMode mode, bool align_corners, float ratio,
                                 std::int64_t in, std::int64_t out, std::int64_t i);

// What lies outside of an image that a grid reads.
enum class GridPadding : std::uint8_t { Zeros, Border, Reflection };

// Taps at one coordinate of a grid, as ATen finds them (GridSamplerKernel.cpp): -1 and 1 stand for
// the two ends of an axis of `in` >= 1 pixels. Of padding by zeros the taps outside weigh 0; false
// when none is inside, and the result is 0. Any coordinate is taken; one that is not finite may
// give weights of NaN. `mode` is not NearestExact.
[[nodiscard]] bool grid_taps(ResampleMode mode, GridPadding padding, bool align_corners,
                             std::int64_t in, float coordinate, AxisTaps& taps);

struct ResampleParams {
  std::int64_t channels = 1;
  int taps = 1;  // in each direction
  // UInt8 only:
  float input_scale = 1;
  float inv_scale = 1;
  std::int32_t input_zero_point = 0;
  std::int32_t zero_point = 0;
};

// The pixel (r, s) begins at rows[r] + columns[s] bytes.
struct ResamplePixel {
  const void* rows[kMaxTaps] = {};
  std::int64_t columns[kMaxTaps] = {};
  const float* row_weights = nullptr;
  const float* column_weights = nullptr;
};

using ResampleRun = void (*)(const ResampleParams& params, const ResamplePixel& pixel,
                             void* out) noexcept;

#define ENN_RESAMPLE_U8(name, ...) \
  void name(const ResampleParams& params, const ResamplePixel& pixel, void* out) noexcept;
#define ENN_RESAMPLE_F32(name, ...) ENN_RESAMPLE_U8(name)
#include "kernels/resample/kernels.def"
#undef ENN_RESAMPLE_U8
#undef ENN_RESAMPLE_F32

inline constexpr KernelRow<ResampleRun> kResampleU8Kernels[] = {
#define ENN_RESAMPLE_U8(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_RESAMPLE_F32(name, ...)
#include "kernels/resample/kernels.def"
#undef ENN_RESAMPLE_U8
#undef ENN_RESAMPLE_F32
};

inline constexpr KernelRow<ResampleRun> kResampleF32Kernels[] = {
#define ENN_RESAMPLE_U8(name, ...)
#define ENN_RESAMPLE_F32(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/resample/kernels.def"
#undef ENN_RESAMPLE_U8
#undef ENN_RESAMPLE_F32
};

}  // namespace enn

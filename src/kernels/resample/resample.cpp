#include "kernels/resample/resample.hpp"

#include <algorithm>
#include <cmath>

namespace enn {
namespace {

// floor(x), at most `last`. A NaN cannot come: positions and ratios are finite.
std::int64_t floor_index(float x, std::int64_t last) {
  const float whole = std::floor(x);
  return whole >= static_cast<float>(last) ? last : static_cast<std::int64_t>(whole);
}

// Keys' cubic convolution with A = -0.75 at distances up to 1, and from 1 to 2.
float cubic_near(float x) { return ((-0.75F + 2.0F) * x - (-0.75F + 3.0F)) * x * x + 1.0F; }
float cubic_far(float x) {
  return ((-0.75F * x - 5.0F * -0.75F) * x + 8.0F * -0.75F) * x - 4.0F * -0.75F;
}

}  // namespace

int tap_count(ResampleMode mode) {
  switch (mode) {
    case ResampleMode::Linear:
      return 2;
    case ResampleMode::Cubic:
      return 4;
    default:
      return 1;
  }
}

AxisTaps axis_taps(ResampleMode mode, bool align_corners, float ratio, std::int64_t in,
                   std::int64_t out, std::int64_t i) {
  const auto at = static_cast<float>(i);
  const std::int64_t last = in - 1;
  AxisTaps taps;
  taps.weight[0] = 1.0F;
  if (mode == ResampleMode::Nearest) {
    taps.index[0] = floor_index(at * ratio, last);
    return taps;
  }
  float position = align_corners ? at * ratio : ratio * (at + 0.5F) - 0.5F;
  if (mode != ResampleMode::Cubic) position = std::max(position, 0.0F);
  if (mode == ResampleMode::NearestExact) {
    taps.index[0] = floor_index(position + 0.5F, last);
    return taps;
  }
  if (mode == ResampleMode::Linear && in == out) {
    taps.index[0] = i;
    taps.index[1] = i;
    return taps;
  }
  const std::int64_t first = floor_index(position, last);
  const float along = std::clamp(position - static_cast<float>(first), 0.0F, 1.0F);
  if (mode == ResampleMode::Linear) {
    taps.index[0] = first;
    taps.index[1] = std::min(first + 1, last);
    taps.weight[0] = 1.0F - along;
    taps.weight[1] = along;
    return taps;
  }
  for (int tap = 0; tap < kMaxTaps; ++tap) {
    taps.index[tap] = std::clamp<std::int64_t>(first - 1 + tap, 0, last);
  }
  taps.weight[0] = cubic_far(along + 1.0F);
  taps.weight[1] = cubic_near(along);
  taps.weight[2] = cubic_near(1.0F - along);
  taps.weight[3] = cubic_far(1.0F - along + 1.0F);
  return taps;
}

}  // namespace enn

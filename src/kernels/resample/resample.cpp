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

// Of a position `along` in [0, 1] between the second tap and the third.
void set_cubic_weights(float along, AxisTaps& taps) {
  taps.weight[0] = cubic_far(along + 1.0F);
  taps.weight[1] = cubic_near(along);
  taps.weight[2] = cubic_near(1.0F - along);
  taps.weight[3] = cubic_far(1.0F - along + 1.0F);
}

// One axis of an image that a grid reads.
struct GridAxis {
  std::int64_t in;
  GridPadding padding;
  bool align_corners;

  // Pixels from the middle of the first one.
  [[nodiscard]] float position(float coordinate) const {
    const float half = static_cast<float>(align_corners ? in - 1 : in) / 2.0F;
    return std::fma(coordinate + 1.0F, half, align_corners ? 0.0F : -0.5F);
  }

  // Mirrored at the middles of the outermost pixels, or at their outer edges, as often as it takes.
  [[nodiscard]] float reflected(float at) const {
    const float edge = align_corners ? 0.0F : -0.5F;
    const auto period = static_cast<float>(2 * (align_corners ? in - 1 : in));
    if (period == 0.0F) return 0.0F;
    const float distance = std::fabs(at - edge);
    const float rest = distance - std::trunc(distance / period) * period;
    return std::min(rest, period - rest) + edge;
  }

  // Moved into the image, but where zeros are outside of it. A NaN becomes 0.
  [[nodiscard]] float padded(float at) const {
    if (padding == GridPadding::Zeros) return at;
    if (padding == GridPadding::Reflection) at = reflected(at);
    return at > 0.0F ? std::min(at, static_cast<float>(in - 1)) : 0.0F;
  }

  // Gives a tap its place; its weight stays where the place is inside. Whether it adds something: a
  // weight of NaN does, wherever it is.
  [[nodiscard]] bool set_tap(float place, int tap, AxisTaps& taps) const {
    const bool inside = place >= 0.0F && place < static_cast<float>(in);
    const float low = place > 0.0F ? place : 0.0F;
    taps.index[tap] =
        low < static_cast<float>(in) ? std::min(static_cast<std::int64_t>(low), in - 1) : in - 1;
    if (inside || std::isnan(taps.weight[tap])) return true;
    taps.weight[tap] = 0.0F;
    return false;
  }
};

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
  set_cubic_weights(along, taps);
  return taps;
}

bool grid_taps(ResampleMode mode, GridPadding padding, bool align_corners, std::int64_t in,
               float coordinate, AxisTaps& taps) {
  const GridAxis axis{in, padding, align_corners};
  float position = axis.position(coordinate);
  if (mode != ResampleMode::Cubic) position = axis.padded(position);
  if (mode == ResampleMode::Nearest) {
    taps.weight[0] = 1.0F;
    return axis.set_tap(std::nearbyint(position), 0, taps);
  }
  const float first = std::floor(position);
  const float along = position - first;
  bool inside = false;
  if (mode == ResampleMode::Linear) {
    taps.weight[0] = 1.0F - along;
    taps.weight[1] = along;
    for (int tap = 0; tap < 2; ++tap) {
      inside |= axis.set_tap(first + static_cast<float>(tap), tap, taps);
    }
    return inside;
  }
  set_cubic_weights(along, taps);
  for (int tap = 0; tap < kMaxTaps; ++tap) {
    inside |= axis.set_tap(axis.padded(first + static_cast<float>(tap - 1)), tap, taps);
  }
  return inside;
}

}  // namespace enn

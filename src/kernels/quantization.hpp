// The rounding step that every 8-bit kernel shares.
#pragma once

#include <cmath>
#include <cstdint>

namespace enn {

// clamp(round_half_even(v) + zero_point, minimum, maximum) for minimum, maximum in [-128, 255]; NaN
// gives minimum. The clamp comes first, in float, so that no value is too large to convert.
[[nodiscard]] inline std::int32_t round_and_clamp(float v, std::int32_t zero_point,
                                                  std::int32_t minimum, std::int32_t maximum) {
  const float low = static_cast<float>(minimum - zero_point);
  const float high = static_cast<float>(maximum - zero_point);
  v = v > low ? v : low;
  v = v < high ? v : high;
  return static_cast<std::int32_t>(std::nearbyint(v)) + zero_point;
}

// 1 / scale as torchao computes it.
[[nodiscard]] inline float inverse_scale(float scale) {
  return static_cast<float>(1.0 / static_cast<double>(scale));
}

}  // namespace enn

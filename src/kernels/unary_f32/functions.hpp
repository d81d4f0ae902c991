// The unary functions of the engine on one float, as ATen's CPU kernels define them. The compiler
// builds its 256-entry tables from the same functions, so this file depends on <cmath> alone.
#pragma once

#include <cmath>

namespace enn {

// NaN stays NaN in all of them.
[[nodiscard]] inline float relu_f32(float x) { return x < 0.0F ? 0.0F : x; }

[[nodiscard]] inline float clamp_f32(float x, float minimum, float maximum) {
  const float raised = x < minimum ? minimum : x;
  return raised > maximum ? maximum : raised;
}

[[nodiscard]] inline float sigmoid_f32(float x) { return 1.0F / (1.0F + std::exp(-x)); }

[[nodiscard]] inline float tanh_f32(float x) { return std::tanh(x); }

[[nodiscard]] inline float hardswish_f32(float x) {
  return x * clamp_f32(x + 3.0F, 0.0F, 6.0F) / 6.0F;
}

[[nodiscard]] inline float hardsigmoid_f32(float x) {
  return clamp_f32(x + 3.0F, 0.0F, 6.0F) / 6.0F;
}

}  // namespace enn

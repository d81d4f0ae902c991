// The function of a convolution's epilogue on one float: apply(f, v) of conv.hpp, from operations
// that every instruction set rounds alike. x86_epilogue.hpp has the same on eight lanes.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/conv/conv.hpp"
#include "kernels/exp_f32.hpp"

namespace enn {

// x + kGeluCubic x^3 is what the logistic function of twice kSqrtTwoOverPi reads in torch's gelu
// with approximate="tanh", as (1 + tanh(t)) / 2 = logistic(2 t).
inline constexpr float kTwoSqrtTwoOverPi = 1.59576912160573F;
inline constexpr float kGeluCubic = 0.044715F;

// erfc(z) = t (a1 + t (a2 + …)) exp(-z^2) with t = 1 / (1 + p z), z >= 0, within 1.5e-7: Abramowitz
// and Stegun, Handbook of Mathematical Functions, 7.1.26. Halved, from a5 to a1.
inline constexpr float kErfcP = 0.3275911F;
inline constexpr float kHalfErfcTerms[] = {0.5307027145F, -0.7265760135F, 0.7107068705F,
                                           -0.142248368F, 0.127414796F};
inline constexpr float kSqrtHalf = 0.70710678118654752F;

[[nodiscard]] inline float logistic_f32(float x) noexcept {
  const float e = exp_of_nonpositive(-std::fabs(x));
  return (x < 0.0F ? e : 1.0F) / (1.0F + e);
}

// Phi, the normal distribution.
[[nodiscard]] inline float normal_cdf_f32(float x) noexcept {
  const float z = std::fabs(x) * kSqrtHalf;
  const float t = 1.0F / std::fma(z, kErfcP, 1.0F);
  float sum = kHalfErfcTerms[0];
  for (int i = 1; i < 5; ++i) sum = std::fma(sum, t, kHalfErfcTerms[i]);
  const float tail = sum * t * exp_of_nonpositive(-(z * z));
  return x < 0.0F ? tail : 1.0F - tail;
}

[[nodiscard]] inline float gate_f32(const ConvFunction& f, float v) noexcept {
  const float x = v * f.step;
  switch (f.gate) {
    case ConvGate::Slope:
      return v > 0.0F ? 1.0F : f.slope;
    case ConvGate::Hard:
      return std::fmin(std::fmax(std::fma(x, 1.0F / 6.0F, 0.5F), 0.0F), 1.0F);
    case ConvGate::Logistic:
      return logistic_f32(x);
    case ConvGate::Normal:
      return normal_cdf_f32(x);
    case ConvGate::CubicLogistic:
      return logistic_f32(kTwoSqrtTwoOverPi * std::fma(kGeluCubic * x, x * x, x));
    case ConvGate::None:
      break;
  }
  return 1.0F;
}

[[nodiscard]] inline float apply(const ConvFunction& f, float v) noexcept {
  if (f.gate == ConvGate::None) return v;
  v = std::fmax(v, std::numeric_limits<float>::lowest());  // -inf * 0 would be NaN
  return gate_f32(f, v) * (f.multiplies ? v : f.unit);
}

}  // namespace enn

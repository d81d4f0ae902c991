// The function of a convolution's epilogue on one float: apply(f, v) of conv.hpp, from operations
// that every instruction set rounds alike. x86_epilogue.hpp has the same on 32 lanes.
//
// Smooth gates are 1 / (1 + 2^t), with t = -log2(gate / (1 - gate)) as a polynomial in x: for the
// logistic function -x log2(e), for the normal distribution x P(x^2).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/conv/conv.hpp"
#include "kernels/exp_f32.hpp"

namespace enn {

// x + kGeluCubic x^3 times 2 sqrt(2 / pi) is what the logistic function reads in torch's gelu with
// approximate="tanh", as (1 + tanh(t)) / 2 = logistic(2 t).
inline constexpr float kTwoSqrtTwoOverPi = 1.59576912160573F;
inline constexpr float kGeluCubic = 0.044715F;
// P, from its highest term: minimax for x Phi(x) on [0, 6.5], within 7e-8. Beyond it P(x^2) stays
// at P(6.5^2), where 1 - Phi(x) < 1e-10.
inline constexpr float kNormalOdds[] = {-5.20990584e-09F, 3.85044842e-07F, -1.14524273e-05F,
                                        1.59389398e-04F,  9.55929936e-05F, -0.10483858F,
                                        -2.30220723F};
inline constexpr float kNormalOddsEnd = 42.25F;

// 2^r on [-1/2, 1/2] as 1 + r (…), from its highest term: minimax, within 2e-7 relative.
inline constexpr float kExp2Terms[] = {0.00132647273F, 0.00967151299F, 0.0555073358F,
                                       0.240222424F,   0.693147004F,   1.0F};
inline constexpr float kExp2Minimum = -126.0F;
// 1.5 * 2^23: a float of at most 2^22 that is added to it is rounded to an integer, which its
// lowest bits hold.
inline constexpr float kRounding = 12582912.0F;

// 2^t, for t <= 126; below -126 it is 2^-126.
[[nodiscard]] inline float exp2_f32(float t) noexcept {
  t = std::fmax(t, kExp2Minimum);
  const float integer = t + kRounding;
  const float r = t - (integer - kRounding);
  float sum = kExp2Terms[0];
  for (int i = 1; i < 6; ++i) sum = std::fma(sum, r, kExp2Terms[i]);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(sum) +
                              (std::bit_cast<std::uint32_t>(integer) << 23));
}

[[nodiscard]] inline float log2_odds_against_f32(ConvGate gate, float x) noexcept {
  if (gate == ConvGate::Logistic) return x * -kLog2E;
  const float square = x * x;
  if (gate == ConvGate::CubicLogistic) {
    constexpr float kFactor = kTwoSqrtTwoOverPi * -kLog2E;
    return x * std::fma(square, kFactor * kGeluCubic, kFactor);
  }
  const float u = std::fmin(square, kNormalOddsEnd);
  float sum = kNormalOdds[0];
  for (int i = 1; i < 7; ++i) sum = std::fma(sum, u, kNormalOdds[i]);
  return x * sum;
}

// The function of one channel, which may have a slope of its own.
[[nodiscard]] inline ConvFunction function_of_channel(const ConvFunction& f, const float* slopes,
                                                      std::int64_t channel) noexcept {
  ConvFunction out = f;
  if (slopes != nullptr) out.slope = slopes[channel];
  return out;
}

[[nodiscard]] inline float apply(const ConvFunction& f, float v) noexcept {
  if (f.gate == ConvGate::None) return v;
  v = std::fmax(v, f.floor);
  const float factor = f.multiplies ? v : f.unit;
  const float x = v * f.step;
  switch (f.gate) {
    case ConvGate::Slope:
      return factor * (v > 0.0F ? 1.0F : f.slope);
    case ConvGate::Hard:
      return factor * std::fmin(std::fmax(std::fma(x, 1.0F / 6.0F, 0.5F), 0.0F), 1.0F);
    default:
      return factor / (1.0F + exp2_f32(log2_odds_against_f32(f.gate, x)));
  }
}

}  // namespace enn

// exp(x) for x <= 0, within 1 ulp, from operations that every instruction set rounds alike:
//   n = round_half_even(x / ln 2), r = x - n ln 2 in two fused steps,
//   exp(x) = 2^n (1 + r (1 + r / 2 (1 + …)))  as the Taylor polynomial of degree 7, by fma.
// Below -87.3 the result is 0, where float32's normal numbers end; NaN stays NaN.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace enn {

inline constexpr float kExpMinimum = -87.3F;
inline constexpr float kLog2E = 1.44269504F;
// ln 2 in two parts, the first with 12 trailing zero bits: n * kLn2High is exact.
inline constexpr float kLn2High = 0.693359375F;
inline constexpr float kLn2Low = -2.12194440e-4F;
// 1 / 7!, 1 / 6!, …, 1 / 1!, 1 / 0!
inline constexpr float kExpTerms[] = {1.0F / 5040.0F, 1.0F / 720.0F, 1.0F / 120.0F, 1.0F / 24.0F,
                                      1.0F / 6.0F,    0.5F,          1.0F,          1.0F};

[[nodiscard]] inline float exp_of_nonpositive(float x) noexcept {
  if (!(x >= kExpMinimum)) return x < kExpMinimum ? 0.0F : x;
  const float n = std::nearbyint(x * kLog2E);
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, x));
  float sum = kExpTerms[0];
  for (int i = 1; i < 8; ++i) sum = std::fma(sum, r, kExpTerms[i]);
  return sum * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

}  // namespace enn

// The unary functions of the engine on one float, as ATen's CPU kernels define them. The compiler
// builds its 256-entry tables from the same functions, so this file depends on <cmath> alone. alpha
// and beta are parameters of the operator; functions without parameters ignore them.
#pragma once

#include <cmath>

namespace enn {

// NaN stays NaN in all of them.
[[nodiscard]] inline float relu_f32(float x, float /*alpha*/, float /*beta*/) {
  return x < 0.0F ? 0.0F : x;
}

// alpha: minimum, beta: maximum.
[[nodiscard]] inline float clamp_f32(float x, float alpha, float beta) {
  const float raised = x < alpha ? alpha : x;
  return raised > beta ? beta : raised;
}

[[nodiscard]] inline float sigmoid_f32(float x, float /*alpha*/, float /*beta*/) {
  return 1.0F / (1.0F + std::exp(-x));
}

[[nodiscard]] inline float tanh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::tanh(x);
}

[[nodiscard]] inline float hardswish_f32(float x, float /*alpha*/, float /*beta*/) {
  return x * clamp_f32(x + 3.0F, 0.0F, 6.0F) / 6.0F;
}

[[nodiscard]] inline float hardsigmoid_f32(float x, float /*alpha*/, float /*beta*/) {
  return clamp_f32(x + 3.0F, 0.0F, 6.0F) / 6.0F;
}

// alpha: the slope below 0.
[[nodiscard]] inline float leaky_relu_f32(float x, float alpha, float /*beta*/) {
  return x > 0.0F ? x : x * alpha;
}

// alpha: the negated limit towards minus infinity.
[[nodiscard]] inline float elu_f32(float x, float alpha, float /*beta*/) {
  return x <= 0.0F ? std::expm1(x) * alpha : x;
}

// x * Phi(x), Phi the normal distribution's.
[[nodiscard]] inline float gelu_f32(float x, float /*alpha*/, float /*beta*/) {
  constexpr float kSqrtHalf = 0.70710678118654752F;
  return x * 0.5F * (1.0F + std::erf(x * kSqrtHalf));
}

// Hendrycks and Gimpel's approximation, torch's approximate="tanh".
[[nodiscard]] inline float gelu_tanh_f32(float x, float /*alpha*/, float /*beta*/) {
  constexpr float kSqrtTwoOverPi = 0.79788456080286536F;
  const float inner = kSqrtTwoOverPi * (x + 0.044715F * x * x * x);
  return 0.5F * x * (1.0F + std::tanh(inner));
}

[[nodiscard]] inline float silu_f32(float x, float /*alpha*/, float /*beta*/) {
  return x / (1.0F + std::exp(-x));
}

[[nodiscard]] inline float mish_f32(float x, float /*alpha*/, float /*beta*/) {
  return x * std::tanh(std::log1p(std::exp(x)));
}

// alpha: beta of torch's softplus; beta: its threshold.
[[nodiscard]] inline float softplus_f32(float x, float alpha, float beta) {
  return x * alpha > beta ? x : std::log1p(std::exp(x * alpha)) / alpha;
}

[[nodiscard]] inline float abs_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::fabs(x);
}

[[nodiscard]] inline float neg_f32(float x, float /*alpha*/, float /*beta*/) { return -x; }

[[nodiscard]] inline float ceil_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::ceil(x);
}

[[nodiscard]] inline float floor_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::floor(x);
}

[[nodiscard]] inline float sqrt_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::sqrt(x);
}

[[nodiscard]] inline float rsqrt_f32(float x, float /*alpha*/, float /*beta*/) {
  return 1.0F / std::sqrt(x);
}

[[nodiscard]] inline float exp_f32(float x, float /*alpha*/, float /*beta*/) { return std::exp(x); }

[[nodiscard]] inline float log_f32(float x, float /*alpha*/, float /*beta*/) { return std::log(x); }

[[nodiscard]] inline float sin_f32(float x, float /*alpha*/, float /*beta*/) { return std::sin(x); }

[[nodiscard]] inline float cos_f32(float x, float /*alpha*/, float /*beta*/) { return std::cos(x); }

// alpha: the exponent. The exponents that ATen computes without pow.
[[nodiscard]] inline float pow_scalar_f32(float x, float alpha, float /*beta*/) {
  if (alpha == 2.0F) return x * x;
  if (alpha == 3.0F) return x * x * x;
  if (alpha == 0.5F) return std::sqrt(x);
  if (alpha == -0.5F) return 1.0F / std::sqrt(x);
  if (alpha == -1.0F) return 1.0F / x;
  if (alpha == -2.0F) return 1.0F / (x * x);
  return std::pow(x, alpha);
}

// alpha: the base.
[[nodiscard]] inline float scalar_pow_f32(float x, float alpha, float /*beta*/) {
  return std::pow(alpha, x);
}

[[nodiscard]] inline float reciprocal_f32(float x, float /*alpha*/, float /*beta*/) {
  return 1.0F / x;
}

// 0 for NaN.
[[nodiscard]] inline float sign_f32(float x, float /*alpha*/, float /*beta*/) {
  return static_cast<float>((x > 0.0F ? 1 : 0) - (x < 0.0F ? 1 : 0));
}

// To the nearest integer, ties to even.
[[nodiscard]] inline float round_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::nearbyint(x);
}

[[nodiscard]] inline float trunc_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::trunc(x);
}

[[nodiscard]] inline float erf_f32(float x, float /*alpha*/, float /*beta*/) { return std::erf(x); }

[[nodiscard]] inline float erfc_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::erfc(x);
}

[[nodiscard]] inline float log2_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::log2(x);
}

[[nodiscard]] inline float log10_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::log10(x);
}

[[nodiscard]] inline float log1p_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::log1p(x);
}

[[nodiscard]] inline float expm1_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::expm1(x);
}

[[nodiscard]] inline float tan_f32(float x, float /*alpha*/, float /*beta*/) { return std::tan(x); }

[[nodiscard]] inline float asin_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::asin(x);
}

[[nodiscard]] inline float acos_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::acos(x);
}

[[nodiscard]] inline float atan_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::atan(x);
}

[[nodiscard]] inline float sinh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::sinh(x);
}

[[nodiscard]] inline float cosh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::cosh(x);
}

[[nodiscard]] inline float asinh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::asinh(x);
}

[[nodiscard]] inline float acosh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::acosh(x);
}

[[nodiscard]] inline float atanh_f32(float x, float /*alpha*/, float /*beta*/) {
  return std::atanh(x);
}

// alpha: the negated limit towards minus infinity; beta: the factor of x below 0.
[[nodiscard]] inline float celu_f32(float x, float alpha, float beta) {
  return x <= 0.0F ? std::expm1(x * beta) * alpha : x;
}

// alpha: the negated limit towards minus infinity; beta: the slope above 0.
[[nodiscard]] inline float selu_f32(float x, float alpha, float beta) {
  return x <= 0.0F ? std::expm1(x) * alpha : x * beta;
}

// alpha: the threshold; beta: the value up to it.
[[nodiscard]] inline float threshold_f32(float x, float alpha, float beta) {
  return x <= alpha ? beta : x;
}

// alpha: 0 within [-alpha, alpha].
[[nodiscard]] inline float hardshrink_f32(float x, float alpha, float /*beta*/) {
  return x >= -alpha && x <= alpha ? 0.0F : x;
}

// alpha: how far towards 0.
[[nodiscard]] inline float softshrink_f32(float x, float alpha, float /*beta*/) {
  if (x > alpha) return x - alpha;
  if (x < -alpha) return x + alpha;
  return x * 0.0F;
}

[[nodiscard]] inline float log_sigmoid_f32(float x, float /*alpha*/, float /*beta*/) {
  const float negative = x > 0.0F ? 0.0F : x;
  return negative - std::log1p(std::exp(-std::fabs(x)));
}

}  // namespace enn

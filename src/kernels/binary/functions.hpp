// The binary functions of the engine on two numbers, as ATen's CPU kernels define them. The
// compiler computes constants with the same functions.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace enn {

enum class BinaryOp : std::uint8_t {
#define ENN_BINARY(name) name,
#include "kernels/binary/functions.def"
#undef ENN_BINARY
};

// The result is a truth value, whatever the operands are.
[[nodiscard]] constexpr bool is_comparison(BinaryOp op) {
  return op >= BinaryOp::Eq && op <= BinaryOp::Ge;
}
// Bit by bit; not defined on floats.
[[nodiscard]] constexpr bool is_bitwise(BinaryOp op) { return op >= BinaryOp::And; }
// Defined on floats alone.
[[nodiscard]] constexpr bool is_real(BinaryOp op) {
  return op == BinaryOp::Div || op == BinaryOp::Pow || op == BinaryOp::Atan2 ||
         op == BinaryOp::Prelu;
}

// Calls f with op as a type: std::integral_constant<BinaryOp, op>.
template <typename F>
decltype(auto) dispatch_binary(BinaryOp op, const F& f) {
  switch (op) {
#define ENN_BINARY(name) \
  case BinaryOp::name:   \
    return f(std::integral_constant<BinaryOp, BinaryOp::name>{});
#include "kernels/binary/functions.def"
#undef ENN_BINARY
  }
  return f(std::integral_constant<BinaryOp, BinaryOp::Add>{});
}

// x - n * y with n the quotient rounded down: the sign of y.
[[nodiscard]] inline float remainder_f32(float x, float y) {
  const float rest = std::fmod(x, y);
  return rest != 0.0F && (y < 0.0F) != (rest < 0.0F) ? rest + y : rest;
}

// Python's floor division: consistent with remainder_f32, so that x = y * quotient + remainder.
[[nodiscard]] inline float floor_divide_f32(float x, float y) {
  if (y == 0.0F) return x / y;
  const float rest = std::fmod(x, y);
  float quotient = (x - rest) / y;
  if (rest != 0.0F && (y < 0.0F) != (rest < 0.0F)) quotient -= 1.0F;
  if (quotient == 0.0F) return std::copysign(0.0F, x / y);
  const float whole = std::floor(quotient);
  return quotient - whole > 0.5F ? whole + 1.0F : whole;
}

template <BinaryOp kOp, typename T>
[[nodiscard]] bool compare(T x, T y) {
  static_assert(is_comparison(kOp));
  if constexpr (kOp == BinaryOp::Eq) return x == y;
  if constexpr (kOp == BinaryOp::Ne) return x != y;
  if constexpr (kOp == BinaryOp::Lt) return x < y;
  if constexpr (kOp == BinaryOp::Le) return x <= y;
  if constexpr (kOp == BinaryOp::Gt) return x > y;
  if constexpr (kOp == BinaryOp::Ge) return x >= y;
}

// Arithmetic in float32. A NaN on either side of Maximum and Minimum is the result.
template <BinaryOp kOp>
[[nodiscard]] float apply_f32(float x, float y) {
  static_assert(!is_comparison(kOp) && !is_bitwise(kOp));
  if constexpr (kOp == BinaryOp::Add) return x + y;
  if constexpr (kOp == BinaryOp::Sub) return x - y;
  if constexpr (kOp == BinaryOp::Mul) return x * y;
  if constexpr (kOp == BinaryOp::Div) return x / y;
  if constexpr (kOp == BinaryOp::FloorDivide) return floor_divide_f32(x, y);
  if constexpr (kOp == BinaryOp::TruncDivide) return std::trunc(x / y);
  if constexpr (kOp == BinaryOp::Remainder) return remainder_f32(x, y);
  if constexpr (kOp == BinaryOp::Fmod) return std::fmod(x, y);
  if constexpr (kOp == BinaryOp::Maximum) return x > y || x != x ? x : y;
  if constexpr (kOp == BinaryOp::Minimum) return x < y || x != x ? x : y;
  if constexpr (kOp == BinaryOp::Pow) return std::pow(x, y);
  if constexpr (kOp == BinaryOp::Atan2) return std::atan2(x, y);
  if constexpr (kOp == BinaryOp::Prelu) return x > 0.0F ? x : x * y;
}

// Arithmetic in int32 or int64, modulo 2^32 or 2^64. A quotient by 0 is 0, and so is the rest.
template <BinaryOp kOp, typename T>
[[nodiscard]] T apply_integer(T x, T y) {
  static_assert(!is_comparison(kOp) && !is_real(kOp));
  using U = std::make_unsigned_t<T>;
  const auto a = static_cast<U>(x);
  const auto b = static_cast<U>(y);
  if constexpr (kOp == BinaryOp::Add) return static_cast<T>(a + b);
  if constexpr (kOp == BinaryOp::Sub) return static_cast<T>(a - b);
  if constexpr (kOp == BinaryOp::Mul) return static_cast<T>(a * b);
  if constexpr (kOp == BinaryOp::Maximum) return x > y ? x : y;
  if constexpr (kOp == BinaryOp::Minimum) return x < y ? x : y;
  if constexpr (kOp == BinaryOp::And) return static_cast<T>(a & b);
  if constexpr (kOp == BinaryOp::Or) return static_cast<T>(a | b);
  if constexpr (kOp == BinaryOp::Xor) return static_cast<T>(a ^ b);
  if constexpr (kOp >= BinaryOp::FloorDivide && kOp <= BinaryOp::Fmod) {
    constexpr bool kQuotient = kOp == BinaryOp::FloorDivide || kOp == BinaryOp::TruncDivide;
    constexpr bool kFloors = kOp == BinaryOp::FloorDivide || kOp == BinaryOp::Remainder;
    if (y == 0) return 0;
    // The one quotient that does not fit.
    if (y == -1) return kQuotient ? static_cast<T>(U{0} - a) : T{0};
    const T rest = x % y;
    const bool down = kFloors && rest != 0 && (rest < 0) != (y < 0);
    if constexpr (kQuotient) return x / y - (down ? 1 : 0);
    return down ? rest + y : rest;
  }
}

// x + alpha * y and x - alpha * y as ATen computes them: fused, where alpha is not 1.
template <BinaryOp kOp>
[[nodiscard]] float apply_scaled_f32(float x, float y, float alpha) {
  static_assert(kOp == BinaryOp::Add || kOp == BinaryOp::Sub);
  return std::fma(kOp == BinaryOp::Add ? alpha : -alpha, y, x);
}

}  // namespace enn

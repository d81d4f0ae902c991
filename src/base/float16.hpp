// IEEE 754 binary16 as bits.
#pragma once

#include <bit>
#include <cstdint>

namespace enn {

// Exact.
[[nodiscard]] constexpr float float_of_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13U));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23U) | (fraction << 13U));
  }
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return sign != 0 ? -magnitude : magnitude;
}

// Rounded to nearest, ties to even; beyond the largest half infinity; a NaN stays one.
[[nodiscard]] constexpr std::uint16_t half_of_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U;
  } else if (magnitude >= 0x477FF000U) {  // 65520, halfway between the largest half and 2^16
    half = 0x7C00U;
  } else if (magnitude >= 0x38800000U) {  // 2^-14, the smallest normal half
    half = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13U) & 1U)) >> 13U;
  } else if (magnitude > 0x33000000U) {  // above half of the smallest subnormal, 2^-25
    const std::uint32_t shift = 126 - (magnitude >> 23U);
    const std::uint32_t fraction = (magnitude & 0x7FFFFFU) | 0x800000U;
    const std::uint32_t whole = fraction >> shift;
    const std::uint32_t rest = fraction & ((1U << shift) - 1);
    const std::uint32_t tie = 1U << (shift - 1);
    half = whole + (rest > tie || (rest == tie && (whole & 1U) != 0) ? 1U : 0U);
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace enn

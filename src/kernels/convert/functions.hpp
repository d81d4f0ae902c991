// One number as another element type. The compiler converts constants with the same functions.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/float16.hpp"

namespace enn {

// Element types as C++ types of their own.
struct Half {
  std::uint16_t bits;
};
struct Truth {
  std::uint8_t byte;
};

// Truncated; what does not fit is the nearest int64, NaN is 0.
[[nodiscard]] inline std::int64_t integer_of_float(float x) {
  if (x != x) return 0;
  if (x >= 0x1p63F) return std::numeric_limits<std::int64_t>::max();
  if (x < -0x1p63F) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(x);
}

// Rounded to nearest where float32 cannot hold it; integers are narrowed modulo a power of 2; a
// truth value is whether the number is not 0, and 0 or 1 as a number.
template <typename To, typename From>
[[nodiscard]] To convert_number(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_same_v<From, Half>) {
    return convert_number<To>(float_of_half(x.bits));
  } else if constexpr (std::is_same_v<From, Truth>) {
    return convert_number<To>(std::int64_t{x.byte != 0});
  } else if constexpr (std::is_same_v<To, Half>) {
    return Half{half_of_float(convert_number<float>(x))};
  } else if constexpr (std::is_same_v<To, Truth>) {
    return Truth{static_cast<std::uint8_t>(x != From{0})};
  } else if constexpr (std::is_same_v<From, float> && !std::is_same_v<To, float>) {
    return static_cast<To>(integer_of_float(x));
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace enn

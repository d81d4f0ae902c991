// Numbers in reports.
#pragma once

#include <array>
#include <cmath>
#include <cstdio>
#include <string>

namespace enn {

// With so many digits after the point; "-" for NaN, "exact" for an infinite SQNR.
[[nodiscard]] inline std::string decimal(double value, int digits) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return "exact";
  std::array<char, 400> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return {text.data(), static_cast<std::size_t>(size)};
}

// With three significant digits.
[[nodiscard]] inline std::string short_number(double value) {
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.3g", value);
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace enn

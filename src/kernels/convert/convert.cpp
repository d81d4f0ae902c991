#include "kernels/convert/convert.hpp"

#include "kernels/convert/functions.hpp"

namespace enn {
namespace {

// Calls f with a value of the C++ type.
template <typename F>
void with_type(NumberType type, const F& f) {
  switch (type) {
    case NumberType::F32:
      return f(float{});
    case NumberType::F16:
      return f(Half{});
    case NumberType::I32:
      return f(std::int32_t{});
    case NumberType::I64:
      return f(std::int64_t{});
    case NumberType::U8:
      return f(std::uint8_t{});
    case NumberType::Bool:
      return f(Truth{});
  }
}

}  // namespace

void convert(NumberType from, NumberType to, std::int32_t input_offset, std::int32_t output_offset,
             const void* in, void* out, std::int64_t n) noexcept {
  with_type(from, [&](auto from_value) {
    using From = decltype(from_value);
    with_type(to, [&](auto to_value) {
      using To = decltype(to_value);
      const auto* x = static_cast<const From*>(in);
      auto* y = static_cast<To*>(out);
      for (std::int64_t i = 0; i < n; ++i) {
        To result;
        if constexpr (std::is_same_v<From, std::uint8_t>) {
          result = convert_number<To>(std::int32_t{x[i]} - input_offset);
        } else {
          result = convert_number<To>(x[i]);
        }
        if constexpr (std::is_same_v<To, std::uint8_t>) {
          result = static_cast<std::uint8_t>(result + output_offset);
        }
        y[i] = result;
      }
    });
  });
}

}  // namespace enn

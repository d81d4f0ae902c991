// Conversions against the C++ language's own where it defines them, and halves against their
// definition: sign, exponent and fraction.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/float16.hpp"
#include "kernels/convert/convert.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

double value_of_half(std::uint16_t half) {
  const int exponent = (half >> 10U) & 0x1F;
  const int fraction = half & 0x3FF;
  const double sign = (half & 0x8000U) != 0 ? -1.0 : 1.0;
  if (exponent == 0x1F) {
    return fraction != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(Float16, EveryHalfIsItsDefinitionAndComesBack) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double expected = value_of_half(half);
    const float value = float_of_half(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(float_of_half(half_of_float(value))));
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << bits;
    ASSERT_EQ(half_of_float(value), half) << bits;
  }
}

TEST(Float16, RoundsToTheNearestHalfAndTiesToTheEvenOne) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = float_of_half(static_cast<std::uint16_t>(bits));
    const float high = float_of_half(static_cast<std::uint16_t>(bits + 1));
    const float middle = (low + high) / 2;
    const auto even = static_cast<std::uint16_t>(bits + bits % 2);
    ASSERT_EQ(half_of_float(middle), even) << bits;
    ASSERT_EQ(half_of_float(std::nextafter(middle, low)), bits);
    ASSERT_EQ(half_of_float(std::nextafter(middle, high)), bits + 1);
    ASSERT_EQ(half_of_float(-middle), even | 0x8000U);
  }
  EXPECT_EQ(half_of_float(65519.0F), 0x7BFF);
  EXPECT_EQ(half_of_float(65520.0F), 0x7C00);
  EXPECT_EQ(half_of_float(std::numeric_limits<float>::infinity()), 0x7C00);
}

template <typename To, typename From>
std::vector<To> converted(NumberType from, NumberType to, const std::vector<From>& in,
                          std::int32_t in_offset = 0, std::int32_t out_offset = 0) {
  std::vector<To> out(in.size());
  convert(from, to, in_offset, out_offset, in.data(), out.data(),
          static_cast<std::int64_t>(in.size()));
  return out;
}

TEST(Convert, BetweenNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> reals{0.0F, -0.0F, 1.9F, -1.9F, 1e20F, -infinity, std::nanf("")};
  EXPECT_EQ(converted<std::int64_t>(NumberType::F32, NumberType::I64, reals),
            (std::vector<std::int64_t>{0, 0, 1, -1, std::numeric_limits<std::int64_t>::max(),
                                       std::numeric_limits<std::int64_t>::min(), 0}));
  EXPECT_EQ(converted<std::uint8_t>(NumberType::F32, NumberType::Bool, reals),
            (std::vector<std::uint8_t>{0, 0, 1, 1, 1, 1, 1}));
  const std::vector<std::int64_t> wholes{0, -1, (std::int64_t{1} << 40) + 3, 16777217};
  EXPECT_EQ(converted<std::int32_t>(NumberType::I64, NumberType::I32, wholes),
            (std::vector<std::int32_t>{0, -1, 3, 16777217}));
  EXPECT_EQ(converted<float>(NumberType::I64, NumberType::F32, wholes),
            (std::vector<float>{0.0F, -1.0F, 0x1p40F, 16777216.0F}));
  EXPECT_EQ(converted<float>(NumberType::Bool, NumberType::F32, std::vector<std::uint8_t>{0, 1, 7}),
            (std::vector<float>{0.0F, 1.0F, 1.0F}));
}

TEST(Convert, BytesHoldTheirIntegerPlusTheOffset) {
  const std::vector<std::uint8_t> stored{0, 127, 128, 255};  // int8 -128, -1, 0, 127
  EXPECT_EQ(converted<float>(NumberType::U8, NumberType::F32, stored, 128),
            (std::vector<float>{-128.0F, -1.0F, 0.0F, 127.0F}));
  EXPECT_EQ(converted<std::uint8_t>(NumberType::U8, NumberType::Bool, stored, 128),
            (std::vector<std::uint8_t>{1, 1, 0, 1}));
  EXPECT_EQ(converted<std::uint8_t>(NumberType::U8, NumberType::U8, stored, 128, 0),
            (std::vector<std::uint8_t>{128, 255, 0, 127}));
  EXPECT_EQ(converted<std::uint8_t>(NumberType::F32, NumberType::U8,
                                    std::vector<float>{-3.7F, 5.2F}, 0, 128),
            (std::vector<std::uint8_t>{125, 133}));
}

}  // namespace
}  // namespace enn

#include "base/closeness.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace enn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Closeness, ByHand) {
  Closeness closeness;
  closeness.add(std::array{3.0, 4.0}, std::array{3.0, 3.0});
  EXPECT_DOUBLE_EQ(closeness.sqnr(), 10 * std::log10(25.0 / 1.0));
  EXPECT_DOUBLE_EQ(closeness.cosine(), 21.0 / (5.0 * std::sqrt(18.0)));
  EXPECT_DOUBLE_EQ(closeness.psnr(2.0), 10 * std::log10(4.0 / 0.5));
  EXPECT_DOUBLE_EQ(closeness.max_difference(), 1.0);
  closeness.add(std::array{kNan}, std::array{1.0});
  EXPECT_EQ(closeness.not_finite(), 1U);
  EXPECT_EQ(closeness.count(), 2U);
}

TEST(Closeness, EqualIsInfinite) {
  Closeness closeness;
  closeness.add(std::array{1.0, -2.0}, std::array{1.0, -2.0});
  EXPECT_TRUE(std::isinf(closeness.sqnr()));
  EXPECT_DOUBLE_EQ(closeness.cosine(), 1.0);
}

TEST(Closeness, NothingComparedIsNotEqual) {
  Closeness closeness;
  closeness.add(std::array{kNan}, std::array{1.0});
  EXPECT_TRUE(std::isnan(closeness.sqnr()));
  EXPECT_TRUE(std::isnan(closeness.cosine()));
  EXPECT_TRUE(std::isnan(closeness.psnr(1.0)));
}

}  // namespace
}  // namespace enn

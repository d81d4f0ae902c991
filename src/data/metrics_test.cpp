#include "data/metrics.hpp"

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

TEST(TopK, TheFirstOfEqualsIsLarger) {
  TopK top;
  top.add(std::array{1.0, 1.0, 0.0}, 0);
  top.add(std::array{1.0, 1.0, 0.0}, 1);
  EXPECT_DOUBLE_EQ(top.top1(), 0.5);
  top.add(std::array{9.0, 8.0, 7.0, 6.0, 5.0, 4.0}, 5);
  top.add(std::array{9.0, 8.0, 7.0, 6.0, 5.0, 4.0}, 4);
  EXPECT_DOUBLE_EQ(top.top5(), 0.75);
  top.add(std::array{1.0}, 7);
  EXPECT_EQ(top.count(), 5U);
  EXPECT_EQ(largest(std::array{kNan, 1.0, 2.0, 2.0}), 2);
}

TEST(MeanIou, ByHand) {
  // Three classes, four pixels; the last pixel's label counts for nothing.
  MeanIou iou(3);
  const std::array scores = {9.0, 9.0, 0.0, 9.0,   // class 0
                             0.0, 0.0, 9.0, 0.0,   // class 1
                             0.0, 0.0, 0.0, 0.0};  // class 2
  iou.add(scores, std::array{0.0, 1.0, 1.0, 255.0});
  // Class 0: both 1, either 2; class 1: both 1, either 2; class 2 is in neither.
  EXPECT_DOUBLE_EQ(iou.value(), 0.5);
}

}  // namespace
}  // namespace enn

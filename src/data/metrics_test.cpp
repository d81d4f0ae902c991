#include "data/metrics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace enn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

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

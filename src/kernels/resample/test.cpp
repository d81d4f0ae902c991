#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "kernels/resample/resample.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

// Positions on paper: 2 -> 4 and 5 -> 3.
TEST(AxisTaps, OfSmallSizes) {
  const auto index = [](ResampleMode mode, float ratio, std::int64_t in, std::int64_t out,
                        std::int64_t i) {
    return axis_taps(mode, false, ratio, in, out, i).index[0];
  };
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(index(ResampleMode::Nearest, 0.5F, 2, 4, i), i / 2);
    EXPECT_EQ(index(ResampleMode::NearestExact, 0.5F, 2, 4, i), i / 2);
  }
  EXPECT_EQ(index(ResampleMode::Nearest, 5.0F / 3.0F, 5, 3, 1), 1);
  EXPECT_EQ(index(ResampleMode::NearestExact, 5.0F / 3.0F, 5, 3, 1), 2);
  const AxisTaps linear = axis_taps(ResampleMode::Linear, false, 0.5F, 2, 4, 1);
  EXPECT_EQ(linear.index[0], 0);
  EXPECT_EQ(linear.index[1], 1);
  EXPECT_EQ(linear.weight[0], 0.75F);
  EXPECT_EQ(linear.weight[1], 0.25F);
  const AxisTaps corner = axis_taps(ResampleMode::Linear, true, 1.0F / 3.0F, 2, 4, 3);
  EXPECT_EQ(corner.index[0], 1);
  EXPECT_EQ(corner.index[1], 1);
}

// The cubic weights add up to 1 and lie symmetrically in the middle.
TEST(AxisTaps, CubicWeights) {
  const AxisTaps middle = axis_taps(ResampleMode::Cubic, true, 0.5F, 9, 17, 5);
  EXPECT_EQ(middle.index[0], 1);
  EXPECT_EQ(middle.index[3], 4);
  EXPECT_EQ(middle.weight[0], -0.09375F);
  EXPECT_EQ(middle.weight[1], 0.59375F);
  EXPECT_EQ(middle.weight[2], 0.59375F);
  EXPECT_EQ(middle.weight[3], -0.09375F);
}

TEST(AxisTaps, StayInsideForEveryRatio) {
  for (const auto mode : {ResampleMode::Nearest, ResampleMode::NearestExact, ResampleMode::Linear,
                          ResampleMode::Cubic}) {
    for (const float ratio : {0.0F, 0.3F, 1.0F, 7.5F, 3e38F}) {
      for (const bool corners : {false, true}) {
        for (const std::int64_t i : {0, 1, 5, 1 << 20}) {
          const AxisTaps taps = axis_taps(mode, corners, ratio, 5, (1 << 20) + 1, i);
          for (const std::int64_t index : taps.index) {
            EXPECT_GE(index, 0);
            EXPECT_LT(index, 5);
          }
        }
      }
    }
  }
}

constexpr GridPadding kPaddings[] = {GridPadding::Zeros, GridPadding::Border,
                                     GridPadding::Reflection};

// Places on paper, on an axis of 4 pixels: -1 is its edge, or the middle of its first pixel.
TEST(GridTaps, OfOneAxis) {
  AxisTaps taps;
  ASSERT_TRUE(grid_taps(ResampleMode::Linear, GridPadding::Zeros, true, 4, 0.5F, taps));
  EXPECT_EQ(taps.index[0], 2);
  EXPECT_EQ(taps.index[1], 3);
  EXPECT_EQ(taps.weight[0], 0.75F);
  EXPECT_EQ(taps.weight[1], 0.25F);
  ASSERT_TRUE(grid_taps(ResampleMode::Linear, GridPadding::Zeros, false, 4, -1.0F, taps));
  EXPECT_EQ(taps.index[1], 0);
  EXPECT_EQ(taps.weight[0], 0.0F);
  EXPECT_EQ(taps.weight[1], 0.5F);
  EXPECT_FALSE(grid_taps(ResampleMode::Linear, GridPadding::Zeros, false, 4, 1.5F, taps));
  EXPECT_FALSE(grid_taps(ResampleMode::Nearest, GridPadding::Zeros, true, 4, -1.4F, taps));
  ASSERT_TRUE(grid_taps(ResampleMode::Linear, GridPadding::Border, false, 4, 1.5F, taps));
  EXPECT_EQ(taps.index[0], 3);
  EXPECT_EQ(taps.weight[0], 1.0F);
  // 1.5 stands for 5 on five pixels, which is mirrored at 4, and for 4.5 on four, mirrored at 3.5.
  ASSERT_TRUE(grid_taps(ResampleMode::Nearest, GridPadding::Reflection, true, 5, 1.5F, taps));
  EXPECT_EQ(taps.index[0], 3);
  ASSERT_TRUE(grid_taps(ResampleMode::Linear, GridPadding::Reflection, false, 4, 1.5F, taps));
  EXPECT_EQ(taps.index[0], 2);
  EXPECT_EQ(taps.weight[0], 0.5F);
}

TEST(GridTaps, StayInsideForEveryCoordinate) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto mode : {ResampleMode::Nearest, ResampleMode::Linear, ResampleMode::Cubic}) {
    for (const GridPadding padding : kPaddings) {
      for (const bool corners : {false, true}) {
        for (const std::int64_t in : {1, 2, 5, (1 << 24) + 3}) {
          for (const float at : {-infinity, -3e38F, -1e9F, -1.0F, -1e-30F, 0.0F, 0.3F, 1.0F, 2.5F,
                                 3e38F, infinity, std::nanf("")}) {
            AxisTaps taps;
            (void)grid_taps(mode, padding, corners, in, at, taps);
            for (const std::int64_t index : taps.index) {
              EXPECT_GE(index, 0);
              EXPECT_LT(index, in);
            }
          }
        }
      }
    }
  }
}

template <typename T>
void fill(Random& random, std::span<T> values) {
  if constexpr (sizeof(T) == 1) {
    random.fill(values, 0, 255);
  } else {
    for (T& value : values) value = random.real(-3.0F, 3.0F);
  }
}

// Every row of a table gives the bytes of its last one, and that is the formula in double, rounded.
template <typename T, std::size_t kRows>
void check_rows(const KernelRow<ResampleRun> (&rows)[kRows], double tolerance) {
  Random random(3);
  for (const int taps : {1, 2, 4}) {
    for (const std::int64_t channels : {1, 3, 7, 8, 9, 17, 40}) {
      const auto row_size = static_cast<std::size_t>(channels * taps);
      std::deque<Guarded<T>> lines;
      for (int r = 0; r < taps; ++r) {
        lines.emplace_back(row_size);
        fill<T>(random, lines.back().span());
      }
      float row_weights[kMaxTaps];
      float column_weights[kMaxTaps];
      for (int i = 0; i < kMaxTaps; ++i) {
        row_weights[i] = random.real(-0.2F, 0.6F);
        column_weights[i] = random.real(-0.2F, 0.6F);
      }
      ResampleParams params{.channels = channels,
                            .taps = taps,
                            .input_scale = 0.05F,
                            .inv_scale = 1.0F / 0.07F,
                            .input_zero_point = 120,
                            .zero_point = 100};
      ResamplePixel pixel;
      for (int i = 0; i < taps; ++i) {
        pixel.rows[i] = lines[static_cast<std::size_t>(i)].data();
        pixel.columns[i] = i * channels * static_cast<std::int64_t>(sizeof(T));
      }
      pixel.row_weights = row_weights;
      pixel.column_weights = column_weights;
      const Guarded<T> expected(static_cast<std::size_t>(channels));
      rows[kRows - 1].run(params, pixel, expected.data());
      for (std::int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (int r = 0; r < taps; ++r) {
          for (int s = 0; s < taps; ++s) {
            double value =
                static_cast<double>(lines[static_cast<std::size_t>(r)].data()[s * channels + c]);
            if (sizeof(T) == 1) value = (value - 120) * 0.05;
            sum += value * static_cast<double>(row_weights[r]) *
                   static_cast<double>(column_weights[s]);
          }
        }
        if (sizeof(T) == 1) sum = std::min(255.0, std::max(0.0, sum / 0.07 + 100));
        ASSERT_NEAR(static_cast<double>(expected.data()[c]), sum, tolerance);
      }
      for (const auto& row : rows) {
        if (!testing::cpu_has(row.needs)) continue;
        const Guarded<T> out(static_cast<std::size_t>(channels));
        row.run(params, pixel, out.data());
        for (std::int64_t c = 0; c < channels; ++c) {
          ASSERT_EQ(out.data()[c], expected.data()[c])
              << row.name << " taps " << taps << " channels " << channels;
        }
      }
    }
  }
}

// Half a step from rounding, and float32's error of a few sums.
TEST(Resample, EveryRowOfUInt8) { check_rows<std::uint8_t>(kResampleU8Kernels, 0.5001); }
TEST(Resample, EveryRowOfFloat32) { check_rows<float>(kResampleF32Kernels, 1e-5); }

}  // namespace
}  // namespace enn

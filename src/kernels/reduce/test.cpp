#include <cmath>
#include <vector>

#include "kernels/reduce/reduce.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

TEST(MeanU8, EveryRowEqualsExactSums) {
  Random random(1);
  for (const auto& kernel : kMeanU8Kernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const std::int64_t inner : {1, 2, 15, 16, 17, 33, 70}) {
      for (const std::int64_t count : {1, 2, 31, 32, 33, 49, 255, 256, 257, 1000}) {
        for (const bool extreme : {false, true}) {
          const Guarded<std::uint8_t> in(static_cast<std::size_t>(inner * count));
          random.fill(in.span(), extreme ? 255 : 0, 255);
          MeanParams params;
          params.count = count;
          params.inner = inner;
          params.multiplier = random.real(0.2F, 2.0F) / static_cast<float>(count);
          params.input_zero_point = extreme ? 0 : static_cast<std::int32_t>(random.integer(0, 255));
          params.zero_point = extreme ? 0 : static_cast<std::int32_t>(random.integer(0, 255));
          const Guarded<std::uint8_t> out(static_cast<std::size_t>(inner));
          const std::int64_t middle = inner / 2;
          kernel.run(params, in.data(), 0, middle, out.data());
          kernel.run(params, in.data(), middle, inner, out.data());
          for (std::int64_t i = 0; i < inner; ++i) {
            std::int64_t sum = 0;
            for (std::int64_t j = 0; j < count; ++j) {
              sum += in.data()[j * inner + i] - params.input_zero_point;
            }
            // The product of two floats is exact in double and rounded once.
            const auto scaled = static_cast<float>(static_cast<double>(sum) *
                                                   static_cast<double>(params.multiplier));
            const double expected = std::min(
                255.0,
                std::max(0.0, std::nearbyint(static_cast<double>(scaled)) + params.zero_point));
            ASSERT_EQ(out.data()[i], expected) << kernel.name << " inner " << inner << " count "
                                               << count << " seed " << testing::test_seed();
          }
        }
      }
    }
  }
}

TEST(MeanF32, DividesTheSumInDouble) {
  const std::vector<float> in = {16777216.0F, 1.0F, 1.0F, 2.0F, 1.0F, 6.0F};
  MeanParams params;
  params.count = 3;
  params.inner = 2;
  std::vector<float> out(2);
  mean_f32_reference(params, 3.0, in.data(), 0, 2, out.data());
  EXPECT_EQ(out[0], static_cast<float>(16777218.0 / 3));
  EXPECT_EQ(out[1], 3.0F);
}

TEST(MeanF32, EveryRowAddsInOrder) {
  Random random(2);
  for (const auto& kernel : kMeanF32Kernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const std::int64_t inner : {1, 7, 31, 32, 33, 64, 101}) {
      for (const std::int64_t count : {1, 2, 49, 300}) {
        const Guarded<float> in(static_cast<std::size_t>(inner * count));
        for (float& x : in.span()) x = random.real(-1e6F, 1e6F);
        MeanParams params;
        params.count = count;
        params.inner = inner;
        const Guarded<float> out(static_cast<std::size_t>(inner));
        const std::int64_t middle = inner / 3;
        kernel.run(params, 7.0, in.data(), 0, middle, out.data());
        kernel.run(params, 7.0, in.data(), middle, inner, out.data());
        for (std::int64_t i = 0; i < inner; ++i) {
          double sum = 0;
          for (std::int64_t j = 0; j < count; ++j) sum += in.data()[j * inner + i];
          ASSERT_EQ(out.data()[i], static_cast<float>(sum / 7.0))
              << kernel.name << " inner " << inner << " count " << count;
        }
      }
    }
  }
}

TEST(VarianceF32, OfAlternatingValues) {
  const std::vector<float> in = {1.0F, 5.0F, 3.0F, 5.0F};
  MeanParams params;
  params.count = 2;
  params.inner = 2;
  std::vector<float> out(2);
  variance_f32(params, 1.0, false, in.data(), 0, 2, out.data());
  EXPECT_EQ(out, (std::vector<float>{2.0F, 0.0F}));
  variance_f32(params, 0.5, true, in.data(), 0, 2, out.data());
  EXPECT_EQ(out, (std::vector<float>{2.0F, 0.0F}));
}

TEST(Prod, OfFloatsAndIntegers) {
  const std::vector<float> reals = {0.5F, -3.0F, 4.0F};
  const std::vector<std::int64_t> integers = {7, -3, 4};
  MeanParams params;
  params.count = 3;
  float real = 0.0F;
  prod_f32(params, reals.data(), 0, 1, &real);
  EXPECT_EQ(real, -6.0F);
  std::int64_t integer = 0;
  prod_integers(params, integers.data(), 0, 1, &integer);
  EXPECT_EQ(integer, -84);
  sum_integers(params, integers.data(), 0, 1, &integer);
  EXPECT_EQ(integer, 8);
}

// The first of equal values wins; NaN wins over everything, the first one.
TEST(Extremes, TiesAndNotANumber) {
  const float nan = std::nanf("");
  const std::vector<float> in = {1.0F, 2.0F, 3.0F, nan, 3.0F, 9.0F, 2.0F, nan};  // [4][2]
  MeanParams params;
  params.count = 4;
  params.inner = 2;
  std::vector<float> values(2);
  std::vector<std::int64_t> places(2);
  extreme_values<float, Larger>(params, in.data(), 0, 2, values.data());
  extreme_places<float, Larger>(params, in.data(), 0, 2, places.data());
  EXPECT_EQ(values[0], 3.0F);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(places, (std::vector<std::int64_t>{1, 1}));
  extreme_values<float, Smaller>(params, in.data(), 0, 2, values.data());
  extreme_places<float, Smaller>(params, in.data(), 0, 2, places.data());
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(places, (std::vector<std::int64_t>{0, 1}));
}

}  // namespace
}  // namespace enn

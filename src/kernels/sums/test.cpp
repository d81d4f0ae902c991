#include <cmath>
#include <vector>

#include "kernels/sums/sums.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

constexpr std::int64_t kSizes[] = {0, 16, 48, 256, 272, 4096, 5008};

TEST(Sums, EveryRowGivesTheReferencesBits) {
  Random random(1);
  for (const std::int64_t n : kSizes) {
    const Guarded<float> in(static_cast<std::size_t>(n));
    random.fill(in.span(), -3.0F, 5.0F);
    ElementSums expected;
    sums_f32_reference(in.data(), n, expected);
    double squares = 0;
    double magnitudes = 0;
    for (const float x : in.span()) {
      squares += static_cast<double>(x) * static_cast<double>(x);
      magnitudes += std::fabs(static_cast<double>(x));
    }
    // 16 additions in float32 for each lane of a run.
    EXPECT_NEAR(expected.squares, squares, 1e-6 * squares);
    EXPECT_NEAR(expected.magnitudes, magnitudes, 1e-6 * magnitudes);
    for (const auto& kernel : kSumsKernels) {
      if (!testing::cpu_has(kernel.needs)) continue;
      ElementSums sums;
      kernel.run(in.data(), n, sums);
      EXPECT_EQ(sums.squares, expected.squares) << kernel.name << " n " << n;
      EXPECT_EQ(sums.magnitudes, expected.magnitudes) << kernel.name << " n " << n;
      EXPECT_EQ(sums.low, expected.low) << kernel.name << " n " << n;
      EXPECT_EQ(sums.high, expected.high) << kernel.name << " n " << n;
    }
  }
}

TEST(Errors, EveryRowGivesTheReferencesBits) {
  Random random(2);
  for (const bool rounds : {false, true}) {
    const float scale = 0.03F;
    const ErrorParams params{rounds, 1.0F / scale, scale, -100.0F, 155.0F};
    for (const std::int64_t n : kSizes) {
      const Guarded<float> reference(static_cast<std::size_t>(n));
      const Guarded<float> in(static_cast<std::size_t>(n));
      random.fill(reference.span(), -4.0F, 6.0F);
      random.fill(in.span(), -4.0F, 6.0F);
      ElementErrors expected;
      errors_f32_f32_reference(params, reference.data(), in.data(), n, expected);
      double errors = 0;
      std::int64_t clipped = 0;
      for (std::size_t i = 0; i < in.size(); ++i) {
        const float steps = in.data()[i] * params.inv_scale;
        float y = in.data()[i];
        if (rounds) {
          y = std::nearbyint(std::fmin(std::fmax(steps, params.low), params.high)) * scale;
          clipped += steps < params.low - 0.5F || steps > params.high + 0.5F ? 1 : 0;
        }
        const double error = static_cast<double>(reference.data()[i] - y);
        errors += error * error;
      }
      EXPECT_NEAR(expected.errors, errors, 1e-6 * errors);
      EXPECT_EQ(expected.clipped, clipped);
      for (const auto& kernel : kErrorsKernels) {
        if (!testing::cpu_has(kernel.needs)) continue;
        ElementErrors sums;
        kernel.run(params, reference.data(), in.data(), n, sums);
        EXPECT_EQ(sums.squares, expected.squares) << kernel.name << " n " << n;
        EXPECT_EQ(sums.errors, expected.errors) << kernel.name << " n " << n;
        EXPECT_EQ(sums.largest, expected.largest) << kernel.name << " n " << n;
        EXPECT_EQ(sums.clipped, expected.clipped) << kernel.name << " n " << n;
      }
    }
  }
}

}  // namespace
}  // namespace enn

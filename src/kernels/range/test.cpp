#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/range/range.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::size_t> sizes() {
  std::vector<std::size_t> result(70);
  std::iota(result.begin(), result.end(), std::size_t{0});
  result.push_back(1000);
  return result;
}

TEST(MinMax, EveryRowFindsTheRangeAndCountsWhatIsNotFinite) {
  Random random(1);
  for (const auto& kernel : kMinMaxKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const std::size_t n : sizes()) {
      const Guarded<float> in(n);
      random.fill(in.span(), 3.0F, 5.0F);
      Range range;
      kernel.run(in.data(), static_cast<std::int64_t>(n), range);
      Range expected;
      for (const float x : in.span()) {
        expected.low = std::fmin(expected.low, x);
        expected.high = std::fmax(expected.high, x);
      }
      EXPECT_EQ(range.low, expected.low) << kernel.name << " n " << n;
      EXPECT_EQ(range.high, expected.high) << kernel.name << " n " << n;
      EXPECT_EQ(range.infinities, 0);
      EXPECT_EQ(range.nans, 0);
      for (std::size_t i = 0; i < n; ++i) {
        if (i % 3 == 0) in.data()[i] = i % 2 == 0 ? kInfinity : -kInfinity;
        if (i % 7 == 1) in.data()[i] = kNan;
      }
      Range part;
      part.low = 4.0F;
      part.high = 4.0F;
      kernel.run(in.data(), static_cast<std::int64_t>(n), part);
      std::int64_t nans = 0;
      std::int64_t infinities = 0;
      expected.low = expected.high = 4.0F;
      for (const float x : in.span()) {
        if (std::isnan(x)) {
          ++nans;
        } else if (std::isinf(x)) {
          ++infinities;
        } else {
          expected.low = std::fmin(expected.low, x);
          expected.high = std::fmax(expected.high, x);
        }
      }
      EXPECT_EQ(part.nans, nans) << kernel.name << " n " << n;
      EXPECT_EQ(part.infinities, infinities) << kernel.name << " n " << n;
      EXPECT_EQ(part.low, expected.low) << kernel.name << " n " << n;
      EXPECT_EQ(part.high, expected.high) << kernel.name << " n " << n;
    }
  }
}

TEST(Histogram, EveryRowCountsEveryElementOnce) {
  Random random(2);
  for (const auto& kernel : kHistogramKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const std::size_t n : sizes()) {
      const Guarded<float> in(n);
      random.fill(in.span(), -2.0F, 3.0F);
      for (std::size_t i = 0; i < n; i += 5) in.data()[i] = i % 10 == 0 ? kNan : 2.0F;
      if (n > 0) in.data()[n - 1] = -1.0F;
      const HistogramParams params = {-1.0F, 2.0F, 30};
      std::vector<std::uint32_t> counts(30 * kHistogramCopies);
      kernel.run(params, in.data(), static_cast<std::int64_t>(n), counts.data());
      std::vector<std::uint32_t> expected(30);
      for (const float x : in.span()) {
        if (std::isnan(x) || x < -1.0F || x > 2.0F) continue;
        const float position = (x + 1.0F) * 30.0F / 3.0F;
        ++expected[std::min<std::size_t>(static_cast<std::size_t>(position), 29)];
      }
      for (std::size_t i = 0; i < 30; ++i) {
        std::uint32_t count = 0;
        for (std::size_t k = 0; k < kHistogramCopies; ++k) count += counts[30 * k + i];
        EXPECT_EQ(count, expected[i]) << kernel.name << " n " << n << " bin " << i;
      }
    }
  }
}

}  // namespace
}  // namespace enn

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/exp_f32.hpp"
#include "kernels/softmax/softmax.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

TEST(ExpF32, IsWithinOneUnitInTheLastPlace) {
  for (float x = 0.0F; x >= kExpMinimum; x -= 0.000731F) {
    const double exact = std::exp(static_cast<double>(x));
    const auto rounded = static_cast<float>(exact);
    const double unit = static_cast<double>(
        std::nextafterf(rounded, std::numeric_limits<float>::infinity()) - rounded);
    ASSERT_NEAR(static_cast<double>(exp_of_nonpositive(x)), exact, unit) << x;
  }
  EXPECT_EQ(exp_of_nonpositive(0.0F), 1.0F);
  EXPECT_EQ(exp_of_nonpositive(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_TRUE(std::isnan(exp_of_nonpositive(std::numeric_limits<float>::quiet_NaN())));
}

struct Form {
  std::int64_t count, inner;
};
constexpr Form kForms[] = {{1, 1},   {2, 1}, {7, 1},  {8, 1},  {17, 1},
                           {197, 1}, {5, 3}, {21, 8}, {33, 9}, {10, 40}};

TEST(Softmax, FloatRowsEqualReferenceAndReferenceIsCloseToDouble) {
  Random random(1);
  for (const Form& form : kForms) {
    for (const bool log : {false, true}) {
      SoftmaxParams params;
      params.count = form.count;
      params.inner = form.inner;
      params.log = log;
      const std::size_t n = size(form.count * form.inner);
      const Guarded<float> in(n);
      random.fill(in.span(), -30.0F, 5.0F);
      const Guarded<float> expected(n);
      softmax_f32_reference(params, in.data(), 0, form.inner, expected.data());
      for (std::int64_t c = 0; c < form.inner; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < form.count; ++i) {
          sum += std::exp(static_cast<double>(in.data()[i * form.inner + c]));
        }
        for (std::int64_t i = 0; i < form.count; ++i) {
          const double x = static_cast<double>(in.data()[i * form.inner + c]);
          const double exact = log ? x - std::log(sum) : std::exp(x) / sum;
          // A few roundings of values below 64, or of a result below 1.
          ASSERT_NEAR(static_cast<double>(expected.data()[i * form.inner + c]), exact,
                      log ? 2e-5 : 2e-6);
        }
      }
      for (const auto& row : kSoftmaxF32Kernels) {
        if (!testing::cpu_has(row.needs)) continue;
        const Guarded<float> out(n);
        row.run(params, in.data(), 0, form.inner, out.data());
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(out.data()[i], expected.data()[i])
              << row.name << " at " << i << " seed " << testing::test_seed();
        }
      }
    }
  }
}

TEST(Softmax, MaskedColumnsAreZeroWhereThatIsAskedFor) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (const auto& row : kSoftmaxF32Kernels) {
    if (!testing::cpu_has(row.needs)) continue;
    for (const std::int64_t inner : {1, 9}) {
      for (const bool safe : {false, true}) {
        SoftmaxParams params;
        params.count = 10;
        params.inner = inner;
        params.safe = safe;
        const std::vector<float> in(size(10 * inner), kLowest);
        std::vector<float> out(in.size(), 2.0F);
        row.run(params, in.data(), 0, inner, out.data());
        for (const float value : out) {
          ASSERT_TRUE(safe ? value == 0.0F : std::isnan(value)) << row.name;
        }
      }
    }
  }
}

TEST(Softmax, ByteRowsEqualReferenceAndReferenceIsCloseToDouble) {
  Random random(2);
  for (const Form& form : kForms) {
    for (const bool log : {false, true}) {
      SoftmaxU8Params params;
      params.count = form.count;
      params.inner = form.inner;
      params.log = log;
      params.scale = random.real(0.01F, 0.3F);
      params.inv_scale = log ? 3.0F : 256.0F;
      params.zero_point = log ? 255 : 0;
      params.exp = softmax_exp_table(params.scale);
      const std::size_t n = size(form.count * form.inner);
      const Guarded<std::uint8_t> in(n);
      random.fill(in.span(), 0, 255);
      const Guarded<std::uint8_t> expected(n);
      softmax_u8_reference(params, in.data(), 0, form.inner, expected.data());
      for (std::int64_t c = 0; c < form.inner; ++c) {
        const auto x = [&](std::int64_t i) {
          return static_cast<double>(params.scale) * in.data()[i * form.inner + c];
        };
        double sum = 0;
        for (std::int64_t i = 0; i < form.count; ++i) sum += std::exp(x(i));
        for (std::int64_t i = 0; i < form.count; ++i) {
          const double exact = log ? x(i) - std::log(sum) : std::exp(x(i)) / sum;
          const double q = exact * static_cast<double>(params.inv_scale) + params.zero_point;
          // Rounded to the nearest integer, but for the float error of a tie.
          ASSERT_NEAR(expected.data()[i * form.inner + c], std::clamp(q, 0.0, 255.0), 0.5001);
        }
      }
      for (const auto& row : kSoftmaxU8Kernels) {
        if (!testing::cpu_has(row.needs)) continue;
        const Guarded<std::uint8_t> out(n);
        row.run(params, in.data(), 0, form.inner, out.data());
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(out.data()[i], expected.data()[i])
              << row.name << " at " << i << " seed " << testing::test_seed();
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

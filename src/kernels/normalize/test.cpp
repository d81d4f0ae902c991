#include <cmath>
#include <vector>

#include "kernels/normalize/normalize.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

struct Form {
  std::int64_t rows, length, groups, inner;
};
constexpr Form kForms[] = {{3, 1, 1, 1},   {2, 7, 1, 1},     {3, 16, 1, 1}, {2, 33, 1, 1},
                           {5, 768, 1, 1}, {6, 12, 3, 4},    {4, 45, 2, 9}, {8, 16, 4, 16},
                           {2, 96, 2, 24}, {1, 300000, 1, 1}};

class Problem {
 public:
  Problem(const Form& form, bool center, Random& random)
      : count_(static_cast<std::size_t>(form.groups * form.length / form.inner)),
        weight(count_),
        bias(count_) {
    random.fill(weight.span(), -2.0F, 2.0F);
    random.fill(bias.span(), -2.0F, 2.0F);
    params.length = form.length;
    params.groups = form.groups;
    params.inner = form.inner;
    params.center = center;
    params.eps = 1e-3F;
    params.weight = weight.data();
    params.bias = bias.data();
  }

  // Element i of row r, from the definition in double.
  template <typename Real>
  [[nodiscard]] double exact(std::int64_t r, std::int64_t i, const Real& x) const {
    double mean = 0;
    for (std::int64_t k = 0; params.center && k < params.length; ++k) {
      mean += x(k) / static_cast<double>(params.length);
    }
    double variance = 0;
    for (std::int64_t k = 0; k < params.length; ++k) {
      variance += (x(k) - mean) * (x(k) - mean) / static_cast<double>(params.length);
    }
    const std::int64_t p = r % params.groups * (params.length / params.inner) + i / params.inner;
    return (x(i) - mean) / std::sqrt(variance + static_cast<double>(params.eps)) *
               static_cast<double>(weight.data()[p]) +
           static_cast<double>(bias.data()[p]);
  }

 private:
  std::size_t count_;

 public:
  NormalizeParams params;
  Guarded<float> weight, bias;
};

TEST(Normalize, FloatRowsEqualReferenceAndReferenceIsCloseToDouble) {
  Random random(1);
  for (const Form& form : kForms) {
    for (const bool center : {true, false}) {
      Problem problem(form, center, random);
      const auto n = static_cast<std::size_t>(form.rows * form.length);
      const Guarded<float> in(n);
      random.fill(in.span(), -3.0F, 5.0F);
      const Guarded<float> expected(n);
      normalize_f32_reference(problem.params, in.data(), 0, form.rows, expected.data());
      for (std::int64_t r = 0; r < form.rows; ++r) {
        for (std::int64_t i = 0; i < form.length; i += 1 + form.length / 20) {
          const double exact = problem.exact(r, i, [&](std::int64_t k) {
            return static_cast<double>(in.data()[r * form.length + k]);
          });
          // A few roundings of values below 16.
          ASSERT_NEAR(static_cast<double>(expected.data()[r * form.length + i]), exact, 1e-5);
        }
      }
      for (const auto& row : kNormalizeF32Kernels) {
        if (!testing::cpu_has(row.needs)) continue;
        const Guarded<float> out(n);
        row.run(problem.params, in.data(), 0, form.rows / 2, out.data());
        row.run(problem.params, in.data(), form.rows / 2, form.rows, out.data());
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(out.data()[i], expected.data()[i])
              << row.name << " at " << i << " seed " << testing::test_seed();
        }
      }
    }
  }
}

TEST(Normalize, ByteRowsEqualReferenceAndReferenceIsCloseToDouble) {
  Random random(2);
  for (const Form& form : kForms) {
    for (const bool center : {true, false}) {
      Problem problem(form, center, random);
      NormalizeParams& params = problem.params;
      params.scale = random.real(0.01F, 0.1F);
      params.zero_point = static_cast<std::int32_t>(random.integer(0, 255));
      params.output_zero_point = static_cast<std::int32_t>(random.integer(0, 255));
      for (float& value : problem.weight.span()) value *= 30.0F;
      for (float& value : problem.bias.span()) value *= 30.0F;
      const auto n = static_cast<std::size_t>(form.rows * form.length);
      const Guarded<std::uint8_t> in(n);
      random.fill(in.span(), 0, 255);
      const Guarded<std::uint8_t> expected(n);
      normalize_u8_reference(params, in.data(), 0, form.rows, expected.data());
      for (std::int64_t r = 0; r < form.rows; ++r) {
        for (std::int64_t i = 0; i < form.length; i += 1 + form.length / 20) {
          const double exact = problem.exact(r, i, [&](std::int64_t k) {
            return static_cast<double>(params.scale) *
                   (in.data()[r * form.length + k] - params.zero_point);
          });
          // Rounded to the nearest integer, but for the float error of a tie.
          ASSERT_NEAR(expected.data()[r * form.length + i],
                      std::clamp(exact + params.output_zero_point, 0.0, 255.0), 0.501);
        }
      }
      for (const auto& row : kNormalizeU8Kernels) {
        if (!testing::cpu_has(row.needs)) continue;
        const Guarded<std::uint8_t> out(n);
        row.run(params, in.data(), 0, form.rows / 2, out.data());
        row.run(params, in.data(), form.rows / 2, form.rows, out.data());
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

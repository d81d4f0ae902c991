// Every row against the reference, the reference against double arithmetic, and the broadcast plan
// against NumPy's rule written out.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/binary/binary.hpp"
#include "kernels/broadcast.hpp"
#include "kernels/quantization.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

BinaryParams random_params(Random& random, BinaryOp op) {
  BinaryParams params;
  params.op = op;
  params.a_scale = random.real(0.001F, 0.1F);
  params.b_scale = random.real(0.001F, 0.1F);
  params.inv_scale = inverse_scale(random.real(0.005F, 0.1F));
  const auto zero_point = [&] {
    return static_cast<std::int32_t>(random.integer(0, 2) * 127 + random.integer(0, 1));
  };
  params.a_zero_point = zero_point();
  params.b_zero_point = zero_point();
  params.zero_point = zero_point();
  const bool clamps = random.integer(0, 1) == 1;
  params.activation_min = clamps ? 0.0F : -std::numeric_limits<float>::infinity();
  params.activation_max = clamps ? 6.0F : std::numeric_limits<float>::infinity();
  return params;
}

TEST(BinaryU8, EveryRowEqualsReference) {
  Random random(1);
  for (const auto& kernel : kBinaryU8Kernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const std::size_t n : {1U, 2U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 100U, 255U}) {
      constexpr BinaryOp kOps[] = {BinaryOp::Add,   BinaryOp::Sub,     BinaryOp::Mul,
                                   BinaryOp::Div,   BinaryOp::Maximum, BinaryOp::Minimum,
                                   BinaryOp::Prelu, BinaryOp::Fmod,    BinaryOp::Remainder};
      for (int variant = 0; variant < 72; ++variant) {
        const BinaryOp op = kOps[variant % 9];
        const std::int64_t a_step = variant / 9 % 2;
        const std::int64_t b_step = variant / 18 % 2;
        const auto touch =
            variant < 36 ? Guarded<std::uint8_t>::Touch::Back : Guarded<std::uint8_t>::Touch::Front;
        const BinaryParams params = random_params(random, op);
        const Guarded<std::uint8_t> a(a_step == 0 ? 1 : n, touch);
        const Guarded<std::uint8_t> b(b_step == 0 ? 1 : n, touch);
        const Guarded<std::uint8_t> out(n, touch);
        const Guarded<std::uint8_t> expected(n);
        random.fill(a.span(), 0, 255);
        random.fill(b.span(), 0, 255);
        const auto count = static_cast<std::int64_t>(n);
        kernel.run(params, a.data(), a_step, b.data(), b_step, out.data(), count);
        binary_u8_reference(params, a.data(), a_step, b.data(), b_step, expected.data(), count);
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(out.data()[i], expected.data()[i])
              << kernel.name << " op " << variant % 9 << " n " << n << " at " << i << " seed "
              << testing::test_seed();
        }
      }
    }
  }
}

TEST(BinaryU8, ReferenceIsWithinHalfAStepOfExactArithmetic) {
  Random random(2);
  for (int round = 0; round < 50; ++round) {
    const BinaryParams params = random_params(random, static_cast<BinaryOp>(round % 3));
    std::vector<std::uint8_t> b(256);
    random.fill(std::span(b), 0, 255);
    for (int a = 0; a < 256; ++a) {
      const auto byte = static_cast<std::uint8_t>(a);
      const std::size_t i = static_cast<std::size_t>(a);
      std::uint8_t out = 0;
      binary_u8_reference(params, &byte, 1, &b[i], 1, &out, 1);
      const double x = (a - params.a_zero_point) * static_cast<double>(params.a_scale);
      const double y = (b[i] - params.b_zero_point) * static_cast<double>(params.b_scale);
      double z = params.op == BinaryOp::Add ? x + y : params.op == BinaryOp::Sub ? x - y : x * y;
      z = std::min(std::max(z, static_cast<double>(params.activation_min)),
                   static_cast<double>(params.activation_max));
      const double exact = std::min(
          std::max(z * static_cast<double>(params.inv_scale) + params.zero_point, 0.0), 255.0);
      ASSERT_LE(std::abs(out - exact), 0.5001) << "seed " << testing::test_seed();
    }
  }
}

// Division as Python defines it: the quotient rounded down, and what is left.
TEST(BinaryTyped, DividesAsPythonDoes) {
  const std::vector<std::int64_t> a{7, -7, 7, -7, 6, 5, std::numeric_limits<std::int64_t>::min()};
  const std::vector<std::int64_t> b{2, 2, -2, -2, 3, 0, -1};
  const auto run = [&](BinaryOp op) {
    BinaryParams params;
    params.op = op;
    std::vector<std::int64_t> out(a.size());
    binary_typed(op, BinaryType::I64)(params, a.data(), 1, b.data(), 1, out.data(),
                                      static_cast<std::int64_t>(a.size()));
    return out;
  };
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(run(BinaryOp::FloorDivide), (std::vector<std::int64_t>{3, -4, -4, 3, 2, 0, kLowest}));
  EXPECT_EQ(run(BinaryOp::TruncDivide), (std::vector<std::int64_t>{3, -3, -3, 3, 2, 0, kLowest}));
  EXPECT_EQ(run(BinaryOp::Remainder), (std::vector<std::int64_t>{1, 1, -1, -1, 0, 0, 0}));
  EXPECT_EQ(run(BinaryOp::Fmod), (std::vector<std::int64_t>{1, -1, 1, -1, 0, 0, 0}));
}

TEST(BinaryTyped, EveryByteThatIsNotZeroIsTrue) {
  const std::vector<std::uint8_t> a{0, 0, 1, 200};
  const std::vector<std::uint8_t> b{0, 3, 0, 1};
  const auto run = [&](BinaryOp op) {
    BinaryParams params;
    params.op = op;
    std::vector<std::uint8_t> out(a.size());
    binary_typed(op, BinaryType::Bool)(params, a.data(), 1, b.data(), 1, out.data(), 4);
    return out;
  };
  using Truths = std::vector<std::uint8_t>;
  EXPECT_EQ(run(BinaryOp::And), (Truths{0, 0, 0, 1}));
  EXPECT_EQ(run(BinaryOp::Or), (Truths{0, 1, 1, 1}));
  EXPECT_EQ(run(BinaryOp::Xor), (Truths{0, 1, 1, 0}));
  EXPECT_EQ(run(BinaryOp::Eq), (Truths{1, 0, 0, 1}));
  EXPECT_EQ(run(BinaryOp::Add), (Truths{0, 1, 1, 1}));
}

TEST(BinaryTyped, IsNullWhereAFunctionIsNotDefined) {
  EXPECT_EQ(binary_typed(BinaryOp::Div, BinaryType::I64), nullptr);
  EXPECT_EQ(binary_typed(BinaryOp::Prelu, BinaryType::Bool), nullptr);
  EXPECT_EQ(binary_typed(BinaryOp::Add, BinaryType::F32), nullptr);
}

// x = y * quotient + remainder, the remainder on y's side of 0: in double, exact for small
// integers.
TEST(BinaryF32, FloorDivisionAndRemainderBelongTogether) {
  for (int i = -40; i <= 40; ++i) {
    for (int j = -9; j <= 9; ++j) {
      if (j == 0) continue;
      const auto x = static_cast<float>(i) * 0.25F;
      const auto y = static_cast<float>(j) * 0.5F;
      const double quotient = std::floor(static_cast<double>(x) / static_cast<double>(y));
      EXPECT_EQ(static_cast<double>(floor_divide_f32(x, y)), quotient);
      EXPECT_EQ(static_cast<double>(remainder_f32(x, y)),
                static_cast<double>(x) - quotient * static_cast<double>(y));
    }
  }
}

TEST(BroadcastPlan, VisitsTheElementsThatNumPyVisits) {
  using Shape = std::vector<std::int64_t>;
  struct Operands {
    Shape a, b, out;
    std::size_t loops;  // dimensions that remain after merging
  };
  const Operands all[] = {
      {{2, 3, 4}, {2, 3, 4}, {2, 3, 4}, 1},
      {{2, 3, 4}, {1}, {2, 3, 4}, 1},
      {{2, 5, 6, 4}, {2, 1, 1, 4}, {2, 5, 6, 4}, 3},
      {{5, 6, 4}, {4}, {5, 6, 4}, 2},
      {{3, 1}, {1, 4}, {3, 4}, 2},
      {{1, 1}, {1, 1}, {1, 1}, 1},
      {{}, {2, 2}, {2, 2}, 1},
      {{4, 1, 3}, {4, 5, 1}, {4, 5, 3}, 3},
  };
  const auto element = [](const Shape& shape, const Shape& index) {
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const std::int64_t i = index[index.size() - shape.size() + d];
      offset = offset * shape[d] + (shape[d] == 1 ? 0 : i);
    }
    return offset;
  };
  for (const Operands& test : all) {
    const BroadcastPlan plan = plan_broadcast(std::array{test.a, test.b}, test.out);
    EXPECT_EQ(plan.shape.size(), test.loops);
    EXPECT_LE(plan.step(0), 1);
    EXPECT_LE(plan.step(1), 1);
    std::int64_t count = 1;
    for (const std::int64_t size : test.out) count *= size;
    for (std::int64_t flat = 0; flat < count; ++flat) {
      Shape index(test.out.size());
      std::int64_t rest = flat;
      for (std::size_t d = test.out.size(); d-- > 0; rest /= test.out[d]) {
        index[d] = rest % test.out[d];
      }
      std::int64_t a = 0;
      std::int64_t b = 0;
      rest = flat;
      for (std::size_t d = plan.shape.size(); d-- > 0; rest /= plan.shape[d]) {
        a += rest % plan.shape[d] * plan.strides[0][d];
        b += rest % plan.shape[d] * plan.strides[1][d];
      }
      EXPECT_EQ(a, element(test.a, index));
      EXPECT_EQ(b, element(test.b, index));
    }
  }
}

}  // namespace
}  // namespace enn

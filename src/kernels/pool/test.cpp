#include <cmath>
#include <limits>
#include <vector>

#include "kernels/pool/pool.hpp"
#include "kernels/quantization.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

struct Window {
  std::int64_t rows, columns, skip_rows, skip_columns;  // skips: pixels from one tap to the next
};

constexpr Window kWindows[] = {{1, 1, 1, 1}, {2, 2, 1, 1}, {3, 3, 1, 1},
                               {3, 2, 2, 3}, {7, 7, 1, 1}, {0, 3, 1, 1}};

template <typename T>
struct Case {
  Case(const Window& shape, std::int64_t channels, Random& random)
      : line((shape.columns - 1) * shape.skip_columns + 1),
        input(static_cast<std::size_t>(std::max<std::int64_t>(
            (((shape.rows - 1) * shape.skip_rows) * line + line) * channels, 1))) {
    if constexpr (std::is_same_v<T, float>) {
      random.fill(input.span(), -5.0F, 5.0F);
    } else {
      random.fill(input.span(), 0, 255);
    }
    params.channels = channels;
    params.input_scale = random.real(0.01F, 0.1F);
    params.inv_scale = inverse_scale(random.real(0.01F, 0.1F));
    params.input_zero_point = static_cast<std::int32_t>(random.integer(0, 255));
    params.zero_point = static_cast<std::int32_t>(random.integer(0, 255));
    const auto element = static_cast<std::int64_t>(sizeof(T));
    window = {input.data(),
              shape.rows,
              shape.columns,
              shape.skip_rows * line * channels * element,
              shape.skip_columns * channels * element,
              static_cast<float>(std::max<std::int64_t>(shape.rows * shape.columns, 1))};
  }

  std::int64_t line;
  Guarded<T> input;
  PoolParams params;
  PoolWindow window;
};

template <typename T>
void compare(PoolOp op, const PoolKernel& kernel) {
  Random random(static_cast<std::uint32_t>(op));
  const PoolKernel& reference = best_pool_kernel(op, CpuFeatures{});
  for (const Window& shape : kWindows) {
    for (const std::int64_t channels : {1, 2, 15, 16, 17, 31, 32, 33, 48, 100}) {
      const Case<T> test(shape, channels, random);
      const Guarded<T> out(static_cast<std::size_t>(channels));
      const Guarded<T> expected(static_cast<std::size_t>(channels));
      kernel.run(test.params, test.window, out.data());
      reference.run(test.params, test.window, expected.data());
      for (std::size_t c = 0; c < out.size(); ++c) {
        ASSERT_EQ(out.data()[c], expected.data()[c])
            << kernel.name << " channels " << channels << " at " << c << " seed "
            << testing::test_seed();
      }
    }
  }
}

TEST(Pool, EveryRowEqualsReference) {
  for (const PoolKernel& kernel : kPoolKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    if (kernel.op == PoolOp::MaxU8 || kernel.op == PoolOp::AverageU8) {
      compare<std::uint8_t>(kernel.op, kernel);
    } else {
      compare<float>(kernel.op, kernel);
    }
  }
}

TEST(Pool, NanIsTheMaximumOfAWindowWhereverItLies) {
  for (const PoolKernel& kernel : kPoolKernels) {
    if (kernel.op != PoolOp::MaxF32 || !testing::cpu_has(kernel.needs)) continue;
    for (std::size_t at = 0; at < 3; ++at) {
      std::vector<float> reals{1.0F, 2.0F, 3.0F};
      reals[at] = NAN;
      const PoolParams params;
      float out = 0.0F;
      kernel.run(params, {reals.data(), 1, 3, 12, 4, 1.0F}, &out);
      EXPECT_TRUE(std::isnan(out)) << kernel.name << " at " << at;
    }
  }
}

TEST(Pool, ReferenceAgainstPlainArithmetic) {
  // Two pixels of three channels.
  const std::vector<std::uint8_t> bytes = {1, 200, 30, 4, 100, 60};
  const PoolParams params = {3, 0.5F, 4.0F, 10, 3};
  PoolWindow window = {bytes.data(), 1, 2, 6, 3, 2.0F};
  std::vector<std::uint8_t> out(3);
  max_pool_u8_reference(params, window, out.data());
  EXPECT_EQ(out, (std::vector<std::uint8_t>{4, 200, 60}));
  average_pool_u8_reference(params, window, out.data());
  // ((x0 - 10) + (x1 - 10)) / 2 * 0.5 * 4 + 3
  EXPECT_EQ(out, (std::vector<std::uint8_t>{0, 255, 73}));

  const std::vector<float> reals = {1.0F, -2.0F, NAN, 3.0F, -1.0F, 0.5F};
  window = {reals.data(), 1, 2, 24, 12, 2.0F};
  std::vector<float> result(3);
  max_pool_f32_reference(params, window, result.data());
  EXPECT_EQ(result[0], 3.0F);
  EXPECT_EQ(result[1], -1.0F);
  EXPECT_TRUE(std::isnan(result[2]));
  average_pool_f32_reference(params, window, result.data());
  EXPECT_EQ(result[0], 2.0F);
  EXPECT_EQ(result[1], -1.5F);
}

}  // namespace
}  // namespace enn

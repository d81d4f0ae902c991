// Every row against the reference over permuted blocks; the reference against double arithmetic.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/quantize/quantize.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

// Consecutive runs, rows apart, planes to interleave, and neither.
std::vector<Block> blocks() {
  std::vector<Block> all;
  for (const std::int64_t n : {1, 7, 8, 9, 15, 16, 17, 33, 64, 100}) {
    all.push_back({1, n, 0, 1});
    all.push_back({n, 1, 1, 0});
    all.push_back({3, n, n + 2, 1});
    for (const std::int64_t columns : {2, 3, 4, 16, 17, 40}) all.push_back({n, columns, 1, n});
  }
  all.push_back({5, 7, 3, 17});
  return all;
}

std::size_t input_size(const Block& block) {
  return static_cast<std::size_t>((block.rows - 1) * block.row_stride +
                                  (block.columns - 1) * block.column_stride + 1);
}

TEST(Quantize, EveryRowEqualsReference) {
  Random random(1);
  for (const auto& kernel : kQuantizeKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const bool is_signed : {false, true}) {
      for (const Block& block : blocks()) {
        const std::int32_t low = is_signed ? -128 : 0;
        const QuantizeParams params = {
            random.real(1.0F, 60.0F), low + static_cast<std::int32_t>(random.integer(0, 255)),
            low + static_cast<std::int32_t>(random.integer(0, 1)), low + 255};
        const Guarded<float> in(input_size(block));
        random.fill(in.span(), -6.0F, 6.0F);
        in.data()[0] = std::numeric_limits<float>::quiet_NaN();
        in.data()[in.size() - 1] = -std::numeric_limits<float>::infinity();
        const auto n = static_cast<std::size_t>(block.rows * block.columns);
        const Guarded<std::uint8_t> out(n);
        const Guarded<std::uint8_t> expected(n);
        kernel.run(params, block, in.data(), out.data());
        quantize_f32_reference(params, block, in.data(), expected.data());
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_EQ(out.data()[i], expected.data()[i])
              << kernel.name << " block " << block.rows << 'x' << block.columns << " at " << i
              << " seed " << testing::test_seed();
        }
      }
    }
  }
}

TEST(Quantize, EveryRowRoundsTiesToEvenAndSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in = {0.25F, 0.75F,  1.25F,    -0.25F,    -0.75F, 200.0F, -200.0F,
                                 3e38F, -3e38F, infinity, -infinity, NAN,    0.0F,   -0.0F};
  const std::vector<std::uint8_t> expected = {10, 12, 12, 10, 8, 255, 1, 255, 1, 255, 1, 1, 10, 10};
  for (const auto& kernel : kQuantizeKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    std::vector<std::uint8_t> out(in.size());
    kernel.run({2.0F, 10, 1, 255}, {1, static_cast<std::int64_t>(in.size()), 0, 1}, in.data(),
               out.data());
    EXPECT_EQ(out, expected) << kernel.name;
  }
}

TEST(Dequantize, EveryRowIsExact) {
  Random random(2);
  for (const auto& kernel : kDequantizeKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    for (const bool is_signed : {false, true}) {
      for (const Block& block : blocks()) {
        const DequantizeParams params = {
            random.real(0.001F, 0.1F),
            static_cast<std::int32_t>(random.integer(0, 255)) - (is_signed ? 128 : 0), is_signed};
        const Guarded<std::uint8_t> in(input_size(block));
        random.fill(in.span(), 0, 255);
        const auto n = static_cast<std::size_t>(block.rows * block.columns);
        const Guarded<float> out(n);
        kernel.run(params, block, in.data(), out.data());
        for (std::int64_t i = 0; i < block.rows; ++i) {
          for (std::int64_t j = 0; j < block.columns; ++j) {
            const std::uint8_t byte = in.data()[i * block.row_stride + j * block.column_stride];
            const int q = is_signed && byte > 127 ? byte - 256 : byte;
            // The product of an 9-bit integer and a float is exact in double and rounded once.
            const auto exact =
                static_cast<float>((q - params.zero_point) * static_cast<double>(params.scale));
            ASSERT_EQ(out.data()[i * block.columns + j], exact) << kernel.name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

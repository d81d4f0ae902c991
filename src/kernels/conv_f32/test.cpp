#include <cmath>
#include <limits>
#include <vector>

#include "kernels/conv_f32/conv_f32.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

struct Problem {
  Problem(std::int64_t channels, std::int64_t out_channels, std::int64_t groups,
          std::int64_t kernel, std::int64_t stride, std::int64_t dilation, Random& random) {
    ConvGeometry& g = args.geometry;
    g.batch = 2;
    g.in_h = 7;
    g.in_w = 6;
    g.in_c = channels;
    g.out_c = out_channels;
    g.groups = groups;
    g.kernel_h = kernel;
    g.kernel_w = kernel;
    g.stride_h = g.stride_w = stride;
    g.dilation_h = g.dilation_w = dilation;
    g.pad_top = g.pad_left = kernel / 2;
    g.out_h = (7 + 2 * g.pad_top - dilation * (kernel - 1) - 1) / stride + 1;
    g.out_w = (6 + 2 * g.pad_left - dilation * (kernel - 1) - 1) / stride + 1;
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    input = std::make_unique<Guarded<float>>(size(2 * 7 * 6 * channels));
    weight = std::make_unique<Guarded<float>>(size(out_channels * g.depth()));
    bias = std::make_unique<Guarded<float>>(size(out_channels));
    random.fill(input->span(), -1.0F, 1.0F);
    random.fill(weight->span(), -1.0F, 1.0F);
    random.fill(bias->span(), -1.0F, 1.0F);
    args.bias = bias->data();
    args.activation_min = -0.75F;
    args.activation_max = std::numeric_limits<float>::infinity();
    args.input = input->data();
  }

  // The result of one kernel, in guarded memory, split into four parts.
  [[nodiscard]] std::unique_ptr<Guarded<float>> run(const ConvF32Kernel& kernel) {
    const ConvGeometry& g = args.geometry;
    const Guarded<float> packed(static_cast<std::size_t>(conv_f32_packed_size(kernel, g)));
    pack_conv_f32_weight(kernel, g, weight->data(), packed.data());
    args.packed_weight = packed.data();
    auto out = std::make_unique<Guarded<float>>(static_cast<std::size_t>(g.pixels() * g.out_c));
    args.output = out->data();
    const std::int64_t pixel = g.pixels() / 2;
    const std::int64_t panels = conv_f32_panels(kernel, g);
    const std::int64_t panel = kernel.depthwise ? 0 : panels / 2;
    for (const auto& [from, to] : {std::pair{std::int64_t{0}, panel}, std::pair{panel, panels}}) {
      kernel.run(args, {0, pixel, from, to});
      kernel.run(args, {pixel, g.pixels(), from, to});
    }
    return out;
  }

  ConvF32Args args;
  std::unique_ptr<Guarded<float>> input, weight, bias;
};

void expect_every_row_equals(Problem& problem, const Guarded<float>& expected) {
  const ConvGeometry& g = problem.args.geometry;
  for (const ConvF32Kernel& kernel : conv_f32_kernels()) {
    if (!testing::cpu_has(kernel.needs) || !takes(kernel, g)) continue;
    const auto out = problem.run(kernel);
    for (std::int64_t i = 0; i < g.pixels() * g.out_c; ++i) {
      ASSERT_EQ(out->data()[i], expected.data()[i])
          << kernel.name << " at " << i << " seed " << testing::test_seed();
    }
  }
}

// Columns around the widths of panels, and windows of more taps than are kept at a time.
TEST(ConvF32, EveryRowEqualsReferenceAroundTheTiles) {
  Random random(2);
  for (const std::int64_t out_channels : {1, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 65}) {
    Problem problem(5, out_channels, 1, 3, 1, 1, random);
    expect_every_row_equals(problem, *problem.run(conv_f32_kernels().back()));
  }
  for (const std::int64_t groups : {1, 3}) {
    Problem problem(groups, groups, groups, 27, 1, 1, random);
    expect_every_row_equals(problem, *problem.run(conv_f32_kernels().back()));
  }
}

TEST(ConvF32, ThreadsGiveTheSameBits) {
  Random random(3);
  const std::unique_ptr<Parallel> pool = make_thread_pool(2);
  for (const std::int64_t channels : {64, 160}) {
    Problem problem(channels, channels, 1, 3, 1, 1, random);
    const auto expected = problem.run(conv_f32_kernels().back());
    const ConvGeometry& g = problem.args.geometry;
    for (const ConvF32Kernel& kernel : conv_f32_kernels()) {
      if (!testing::cpu_has(kernel.needs) || !takes(kernel, g)) continue;
      std::vector<float> packed(static_cast<std::size_t>(conv_f32_packed_size(kernel, g)));
      pack_conv_f32_weight(kernel, g, problem.weight->data(), packed.data());
      problem.args.packed_weight = packed.data();
      std::vector<float> out(static_cast<std::size_t>(g.pixels() * g.out_c));
      problem.args.output = out.data();
      run_conv_f32(kernel, problem.args, *pool);
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i], expected->data()[i]) << kernel.name << " at " << i;
      }
    }
  }
}

TEST(ConvF32, EveryRowEqualsReferenceAndReferenceIsCloseToDouble) {
  Random random(1);
  for (const std::int64_t channels : {1, 3, 8, 12}) {
    for (const std::int64_t multiple : {1, 3, 7}) {
      for (const std::int64_t groups : {std::int64_t{1}, channels}) {
        for (const std::int64_t kernel : {1, 3}) {
          Problem problem(channels, channels * multiple, groups, kernel, 1 + multiple % 2,
                          1 + channels % 2, random);
          const ConvGeometry& g = problem.args.geometry;
          const auto expected = problem.run(conv_f32_kernels().back());
          expect_every_row_equals(problem, *expected);
          for (std::int64_t i = 0; i < g.pixels() * g.out_c; ++i) {
            const std::int64_t k = i % g.out_c;
            const std::int64_t pixel = i / g.out_c;
            double sum = static_cast<double>(problem.bias->data()[k]);
            for (std::int64_t t = 0; t < g.depth(); ++t) {
              const std::int64_t c = t % g.group_in() + k / g.group_out() * g.group_in();
              const std::int64_t s = t / g.group_in() % g.kernel_w;
              const std::int64_t r = t / g.group_in() / g.kernel_w;
              const std::int64_t h =
                  pixel / g.out_w % g.out_h * g.stride_h - g.pad_top + r * g.dilation_h;
              const std::int64_t w = pixel % g.out_w * g.stride_w - g.pad_left + s * g.dilation_w;
              if (h < 0 || h >= g.in_h || w < 0 || w >= g.in_w) continue;
              const std::int64_t n = pixel / (g.out_h * g.out_w);
              sum += static_cast<double>(
                         problem.input->data()[((n * g.in_h + h) * g.in_w + w) * g.in_c + c]) *
                     static_cast<double>(problem.weight->data()[k * g.depth() + t]);
            }
            // Rounding once per product of sums below 128 in magnitude.
            ASSERT_NEAR(expected->data()[i], std::max(sum, -0.75),
                        1e-5 * static_cast<double>(g.depth()));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

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
    packed = std::make_unique<Guarded<float>>(size(out_channels * g.depth()));
    bias = std::make_unique<Guarded<float>>(size(out_channels));
    random.fill(input->span(), -1.0F, 1.0F);
    random.fill(weight->span(), -1.0F, 1.0F);
    random.fill(bias->span(), -1.0F, 1.0F);
    pack_conv_f32_weight(g, weight->data(), packed->data());
    args.packed_weight = packed->data();
    args.bias = bias->data();
    args.activation_min = -0.75F;
    args.activation_max = std::numeric_limits<float>::infinity();
    args.input = input->data();
  }

  ConvF32Args args;
  std::unique_ptr<Guarded<float>> input, weight, packed, bias;
};

TEST(ConvF32, EveryRowEqualsReferenceAndReferenceIsCloseToDouble) {
  Random random(1);
  for (const std::int64_t channels : {1, 3, 8, 12}) {
    for (const std::int64_t multiple : {1, 3, 7}) {
      for (const std::int64_t groups : {std::int64_t{1}, channels}) {
        for (const std::int64_t kernel : {1, 3}) {
          Problem problem(channels, channels * multiple, groups, kernel, 1 + multiple % 2,
                          1 + channels % 2, random);
          const ConvGeometry& g = problem.args.geometry;
          const auto size = static_cast<std::size_t>(g.pixels() * g.out_c);
          const Guarded<float> expected(size);
          problem.args.output = expected.data();
          conv_f32_reference(problem.args, 0, g.pixels());
          for (const auto& row : kConvF32Kernels) {
            if (!testing::cpu_has(row.needs)) continue;
            const Guarded<float> out(size);
            problem.args.output = out.data();
            row.run(problem.args, 0, g.pixels() / 2);
            row.run(problem.args, g.pixels() / 2, g.pixels());
            for (std::size_t i = 0; i < size; ++i) {
              ASSERT_EQ(out.data()[i], expected.data()[i])
                  << row.name << " at " << i << " seed " << testing::test_seed();
            }
          }
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
            ASSERT_NEAR(expected.data()[i], std::max(sum, -0.75),
                        1e-5 * static_cast<double>(g.depth()));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

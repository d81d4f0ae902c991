// Every row of kernels.def against the reference, and the reference against sums in int64 and long
// double.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <ostream>
#include <vector>

#include "kernels/conv/conv.hpp"
#include "kernels/conv/conv_tables.hpp"
#include "kernels/conv/function.hpp"
#include "kernels/test_util.hpp"

namespace enn {

#if defined(ENN_TEST_EMULATED)
extern const IgemmKernel igemm_u8_s8_u8_12x32c4_avx512vnni_emulated;
extern const IgemmKernel igemm_u8_s8_u8_6x16c4_avxvnni_emulated;
extern const DepthwiseKernel depthwise_u8_s8_u8_1x32_avx512vnni_emulated;
extern const DepthwiseKernel depthwise_u8_s8_u8_1x32_avxvnni_emulated;
#endif

namespace {

using testing::Guarded;
using testing::Random;

enum class Fill { Random, Extreme };

struct Case {
  ConvGeometry g;
  std::int32_t weight_zero_point = 0;
  std::int32_t input_zero_point = 128;
  std::int32_t output_zero_point = 128;
  std::uint8_t output_min = 0;
  std::uint8_t output_max = 255;
  Fill fill = Fill::Random;
  bool adds_residual = false;
  ConvFunction function;
  bool has_slopes = false;  // of each channel, beside a function of ConvGate::Slope
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  const ConvGeometry& g = c.g;
  return out << "in " << g.batch << 'x' << g.in_h << 'x' << g.in_w << 'x' << g.in_c << " out "
             << g.out_h << 'x' << g.out_w << 'x' << g.out_c << " kernel " << g.kernel_h << 'x'
             << g.kernel_w << " groups " << g.groups << " stride " << g.stride_h << 'x'
             << g.stride_w << " pad " << g.pad_top << 'x' << g.pad_left << " dilation "
             << g.dilation_h << 'x' << g.dilation_w << " zx " << c.input_zero_point << " zw "
             << c.weight_zero_point << " zy " << c.output_zero_point
             << (c.adds_residual ? " with residual" : "") << " gate "
             << static_cast<int>(c.function.gate) << (c.has_slopes ? " with slopes" : "")
             << " seed " << testing::test_seed();
}

// leaky_relu, hardsigmoid, hardswish, sigmoid, silu, gelu and its tanh approximation, in steps that
// show their curves: the sums of the cases reach some 100 of them.
const std::array kFunctions{
    conv_function(ConvGate::Slope, true, 1.0F, 0.1F),
    conv_function(ConvGate::Hard, false, 0.05F),
    conv_function(ConvGate::Hard, true, 0.06F),
    conv_function(ConvGate::Logistic, false, 0.07F),
    conv_function(ConvGate::Logistic, true, 0.08F),
    conv_function(ConvGate::Normal, true, 0.04F),
    conv_function(ConvGate::CubicLogistic, true, 0.04F),
};

std::int64_t out_size(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                      std::int64_t dilation) {
  return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

ConvGeometry geometry(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
                      std::int64_t k, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                      std::int64_t groups = 1, std::int64_t dilation = 1) {
  ConvGeometry g;
  g.batch = n;
  g.in_h = h;
  g.in_w = w;
  g.in_c = c;
  g.out_c = k;
  g.kernel_h = g.kernel_w = kernel;
  g.stride_h = g.stride_w = stride;
  g.pad_top = g.pad_left = pad;
  g.groups = groups;
  g.dilation_h = g.dilation_w = dilation;
  g.out_h = out_size(h, kernel, stride, pad, dilation);
  g.out_w = out_size(w, kernel, stride, pad, dilation);
  return g;
}

// The operands of a case in guarded memory.
struct Operands {
  Operands(const Case& test, std::uint32_t stream)
      : input(elements(test.g.batch * test.g.in_h * test.g.in_w * test.g.in_c),
              stream % 2 == 0 ? Guarded<std::uint8_t>::Touch::Back
                              : Guarded<std::uint8_t>::Touch::Front),
        residual(elements(test.adds_residual ? test.g.pixels() * test.g.out_c : 0)),
        weight(elements(test.g.out_c * test.g.depth())),
        multiplier(elements(test.g.out_c)),
        bias(elements(test.g.out_c)),
        slopes(elements(test.has_slopes ? test.g.out_c : 0)) {
    Random random(stream);
    if (test.fill == Fill::Extreme) {
      std::memset(input.data(), 255, input.size());
      std::memset(weight.data(), -128, weight.size());
    } else {
      random.fill(input.span(), 0, 255);
      random.fill(weight.span(), -128, 127);
    }
    // Spreads the results over the output range, with some outside on both sides.
    const float spread = 3.0F / (std::sqrt(static_cast<float>(test.g.depth())) *
                                 (test.fill == Fill::Random ? 60.0F : 900.0F));
    random.fill(multiplier.span(), 0.2F * spread, 2.0F * spread);
    random.fill(bias.span(), -40.0F, 40.0F);
    random.fill(residual.span(), 0, 255);
    random.fill(slopes.span(), -1.0F, 1.5F);
    problem.geometry = test.g;
    problem.weight = weight.data();
    problem.multiplier = multiplier.data();
    problem.bias = bias.data();
    problem.weight_zero_point = test.weight_zero_point;
    problem.input_zero_point = test.input_zero_point;
    problem.output_zero_point = test.output_zero_point;
    problem.output_min = test.output_min;
    problem.output_max = test.output_max;
    problem.residual_zero_point = 100;
    problem.residual_multiplier = 0.37F;
    problem.function = test.function;
    if (test.has_slopes) problem.slopes = slopes.data();
  }

  static std::size_t elements(std::int64_t count) { return static_cast<std::size_t>(count); }

  Guarded<std::uint8_t> input;
  Guarded<std::uint8_t> residual;
  Guarded<std::int8_t> weight;
  Guarded<float> multiplier;
  Guarded<float> bias;
  Guarded<float> slopes;
  ConvProblem problem;
};

std::vector<std::uint8_t> run(const Conv& conv, const Operands& operands, Parallel& parallel) {
  const ConvGeometry& g = operands.problem.geometry;
  Guarded<std::uint8_t> output(Operands::elements(g.pixels() * g.out_c));
  // From a 64-byte boundary, with the end as close to the guard page as that allows.
  const std::size_t scratch_bytes = (conv.scratch_bytes() + 63) / 64 * 64;
  Guarded<std::byte> scratch(scratch_bytes);
  std::memset(scratch.data(), 0x5A, scratch.size());
  conv.run(operands.input.data(), operands.residual.size() > 0 ? operands.residual.data() : nullptr,
           output.data(), scratch.data(), parallel);
  return {output.data(), output.data() + output.size()};
}

std::vector<std::uint8_t> naive(const Case& test, const Operands& operands) {
  const ConvGeometry& g = test.g;
  const ConvProblem& problem = operands.problem;
  std::vector<std::uint8_t> out;
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t p = 0; p < g.out_h; ++p)
      for (std::int64_t q = 0; q < g.out_w; ++q)
        for (std::int64_t k = 0; k < g.out_c; ++k) {
          std::int64_t acc = 0;
          for (std::int64_t r = 0; r < g.kernel_h; ++r)
            for (std::int64_t s = 0; s < g.kernel_w; ++s)
              for (std::int64_t c = 0; c < g.group_in(); ++c) {
                const std::int64_t h = p * g.stride_h + r * g.dilation_h - g.pad_top;
                const std::int64_t w = q * g.stride_w + s * g.dilation_w - g.pad_left;
                const bool inside = h >= 0 && w >= 0 && h < g.in_h && w < g.in_w;
                const std::int64_t channel = k / g.group_out() * g.group_in() + c;
                const std::int64_t x =
                    inside
                        ? operands.input.data()[((n * g.in_h + h) * g.in_w + w) * g.in_c + channel]
                        : test.input_zero_point;
                const std::int64_t y =
                    operands.weight
                        .data()[((k * g.kernel_h + r) * g.kernel_w + s) * g.group_in() + c];
                acc += (x - test.input_zero_point) * (y - test.weight_zero_point);
              }
          const long double exact =
              static_cast<long double>(static_cast<float>(acc)) * operands.multiplier.data()[k] +
              operands.bias.data()[k];
          auto sum = static_cast<float>(exact);
          if (test.adds_residual) {
            const int residual = operands.residual.data()[out.size()];
            sum = static_cast<float>((residual - problem.residual_zero_point) *
                                         static_cast<long double>(problem.residual_multiplier) +
                                     sum);
          }
          long double v = problem.slopes != nullptr
                              ? std::nearbyint(sum > 0 ? sum : sum * problem.slopes[k])
                              : std::nearbyint(apply(problem.function, sum));
          v += test.output_zero_point;
          v = std::min<long double>(std::max<long double>(v, test.output_min), test.output_max);
          out.push_back(static_cast<std::uint8_t>(v));
        }
  return out;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const ConvGeometry& g, std::int32_t zx = 128, std::int32_t zw = 0,
                       std::int32_t zy = 128) {
    Case test;
    test.g = g;
    test.input_zero_point = zx;
    test.weight_zero_point = zw;
    test.output_zero_point = zy;
    all.push_back(test);
  };
  // Products: rows, columns and depth around the tiles.
  for (const std::int64_t rows : {1, 2, 5, 6, 7, 13, 14, 15, 29}) {
    for (const std::int64_t columns : {1, 7, 8, 9, 16, 17, 31, 32, 33, 48}) {
      for (const std::int64_t depth : {1, 2, 3, 4, 5, 15, 16, 17, 64, 67}) {
        if ((rows + columns + depth) % 3 != 0) continue;
        add(geometry(1, 1, rows, depth, columns, 1, 1, 0), 128, (rows + depth) % 5 == 0 ? 9 : 0);
      }
    }
  }
  // More than one K block and more than one block of rows.
  add(geometry(1, 1, 31, 1100, 40, 1, 1, 0), 3, 0);
  add(geometry(1, 1, 9, 2081, 17, 1, 1, 0), 255, -7);
  add(geometry(1, 40, 41, 70, 20, 1, 1, 0), 0, 0, 0);
  add(geometry(2, 9, 9, 150, 35, 3, 1, 1), 128, 0);
  // Kernels, strides, padding, dilation, groups, image channels.
  for (const std::int64_t channels : {1, 3, 4, 5, 16, 19}) {
    for (const std::int64_t kernel : {1, 2, 3, 5, 7}) {
      for (const std::int64_t stride : {1, 2, 3}) {
        add(geometry(1 + stride % 2, 9, 11, channels, 18, kernel, stride, kernel / 2),
            static_cast<std::int32_t>(kernel * stride * 12), kernel == 3 ? -128 : 0);
      }
    }
  }
  add(geometry(1, 12, 13, 16, 24, 3, 1, 2, 1, 2));
  add(geometry(1, 12, 13, 7, 9, 3, 2, 3, 1, 3), 17, 127);
  add(geometry(1, 5, 5, 4, 4, 1, 1, 2), 0, 0, 255);
  add(geometry(1, 8, 8, 24, 36, 3, 1, 1, 3), 200, 5);
  add(geometry(2, 7, 6, 8, 8, 3, 2, 1, 4));
  add(geometry(1, 6, 6, 6, 12, 3, 1, 1, 6), 90);
  // Depthwise.
  for (const std::int64_t channels : {2, 7, 15, 16, 17, 31, 32, 33, 63, 65, 80}) {
    for (const std::int64_t kernel : {1, 2, 3, 4, 5, 7}) {
      const std::int64_t stride = 1 + (channels + kernel) % 3;
      const std::int64_t dilation = 1 + kernel % 2 * (channels % 2);
      add(geometry(1 + channels % 2, 10, 9 + channels % 3, channels, channels, kernel, stride,
                   dilation * (kernel / 2), channels, dilation),
          static_cast<std::int32_t>(channels % 3 * 127), kernel == 5 ? -128 : 0);
    }
  }
  // Windows that reach further below and to the right than the padding above and to the left.
  ConvGeometry uneven = geometry(1, 8, 8, 5, 10, 3, 2, 0);
  uneven.out_h = uneven.out_w = 4;
  add(uneven, 77);
  uneven = geometry(1, 8, 8, 32, 32, 3, 2, 0, 32);
  uneven.out_h = uneven.out_w = 4;
  add(uneven, 77);
  // The largest sums: 255 * -128 everywhere, over a depth of up to 60,000.
  for (const std::int64_t depth : {16, 4608, 60000}) {
    Case test;
    test.g = geometry(1, 1, 3, depth, 9, 1, 1, 0);
    test.input_zero_point = 0;
    test.fill = Fill::Extreme;
    all.push_back(test);
  }
  Case extreme;
  extreme.g = geometry(1, 6, 6, 32, 32, 5, 1, 2, 32);
  extreme.input_zero_point = 0;
  extreme.weight_zero_point = 127;
  extreme.fill = Fill::Extreme;
  all.push_back(extreme);
  Case limits;
  limits.g = geometry(1, 7, 7, 33, 34, 3, 1, 1);
  limits.output_min = 20;
  limits.output_max = 141;
  limits.output_zero_point = 20;
  all.push_back(limits);
  for (std::size_t i = 0, count = all.size(); i < count; i += 2) {
    all.push_back(all[i]);
    all.back().adds_residual = true;
  }
  for (std::size_t i = 0, count = all.size(); i < count; i += 2) {
    all.push_back(all[i]);
    all.back().function = kFunctions[i / 2 % kFunctions.size()];
  }
  for (std::size_t i = 0, count = all.size(); i < count; i += 5) {
    all.push_back(all[i]);
    all.back().function = kFunctions[0];
    all.back().has_slopes = true;
  }
  return all;
}

// Compares a kernel with the reference over all cases that it takes.
template <typename Make>
void expect_equals_reference(const Make& make) {
  SerialParallel serial;
  const auto two = make_thread_pool(2);
  const auto three = make_thread_pool(3);
  std::uint32_t stream = 0;
  int taken = 0;
  for (const Case& test : cases()) {
    const Operands operands(test, ++stream);
    const std::unique_ptr<Conv> conv = make(operands.problem, 3);
    if (conv == nullptr) continue;
    ++taken;
    const auto reference = conv_kernels().back().make(operands.problem, 1);
    const auto expected = run(*reference, operands, serial);
    ASSERT_EQ(run(*conv, operands, serial), expected) << test;
    ASSERT_EQ(run(*conv, operands, *two), expected) << test << ", 2 threads";
    ASSERT_EQ(run(*conv, operands, *three), expected) << test << ", 3 threads";
  }
  EXPECT_GT(taken, 50);
}

class ConvRow : public ::testing::TestWithParam<std::size_t> {};

TEST_P(ConvRow, EqualsReference) {
  const ConvKernel& kernel = conv_kernels()[GetParam()];
  if (!testing::cpu_has(kernel.needs)) GTEST_SKIP() << testing::lacks(kernel.name);
  expect_equals_reference(kernel.make);
}

#if defined(ENN_TEST_EMULATED)

TEST(ConvEmulated, IgemmEqualsReference) {
  for (const IgemmKernel* kernel :
       {&igemm_u8_s8_u8_12x32c4_avx512vnni_emulated, &igemm_u8_s8_u8_6x16c4_avxvnni_emulated}) {
    expect_equals_reference([&](const ConvProblem& problem, int max_threads) {
      return make_igemm_conv("emulated", *kernel, problem, max_threads);
    });
  }
}

TEST(ConvEmulated, DepthwiseEqualsReference) {
  for (const DepthwiseKernel* kernel :
       {&depthwise_u8_s8_u8_1x32_avx512vnni_emulated, &depthwise_u8_s8_u8_1x32_avxvnni_emulated}) {
    expect_equals_reference([&](const ConvProblem& problem, int max_threads) {
      return make_depthwise_conv("emulated", *kernel, problem, max_threads);
    });
  }
}

#endif

TEST(ConvReference, EqualsNaiveSums) {
  SerialParallel serial;
  std::uint32_t stream = 0;
  for (const Case& test : cases()) {
    const Operands operands(test, ++stream);
    const auto reference = conv_kernels().back().make(operands.problem, 1);
    ASSERT_EQ(run(*reference, operands, serial), naive(test, operands)) << test;
  }
}

// The functions on floats against their definitions in double.
TEST(ConvFunction, IsWithinAMillionthOfItsDefinition) {
  const auto logistic = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  const auto hard = [](double x) { return std::clamp(x / 6.0 + 0.5, 0.0, 1.0); };
  const auto normal = [](double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); };
  const auto tanh_gate = [](double x) {
    return 0.5 + 0.5 * std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x));
  };
  for (const ConvFunction& f : kFunctions) {
    for (int i = -40000; i <= 40000; ++i) {
      const float v = static_cast<float>(i) * 0.01F;
      const double x = static_cast<double>(v) * static_cast<double>(f.step);
      double gate = 0.0;
      switch (f.gate) {
        case ConvGate::None:
          break;
        case ConvGate::Slope:
          gate = v > 0.0F ? 1.0 : static_cast<double>(f.slope);
          break;
        case ConvGate::Hard:
          gate = hard(x);
          break;
        case ConvGate::Logistic:
          gate = logistic(x);
          break;
        case ConvGate::Normal:
          gate = normal(x);
          break;
        case ConvGate::CubicLogistic:
          gate = tanh_gate(x);
          break;
      }
      const double factor = static_cast<double>(f.multiplies ? v : f.unit);
      ASSERT_NEAR(apply(f, v), gate * factor, 4e-7 * std::fabs(factor))
          << static_cast<int>(f.gate) << " of " << v;
    }
  }
}

TEST(ConvFunction, HasLimitsAtInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const ConvFunction& f : kFunctions) {
    EXPECT_EQ(apply(f, kInfinity), f.multiplies ? kInfinity : f.unit) << static_cast<int>(f.gate);
    if (f.gate == ConvGate::Slope) continue;
    EXPECT_NEAR(apply(f, -kInfinity), 0.0F, 1e-9F) << static_cast<int>(f.gate);
  }
}

TEST(ConvEpilogue, HugeValuesAndTies) {
  // acc = 2 * x for a 1x1 convolution with weight 2: 0.25 * acc = x / 2 has ties, rounded to even.
  Case test;
  test.g = geometry(1, 1, 256, 1, 16, 1, 1, 0);
  test.input_zero_point = 0;
  test.output_zero_point = 0;
  const Operands operands(test, 1);
  for (std::size_t i = 0; i < 256; ++i) operands.input.data()[i] = static_cast<std::uint8_t>(i);
  for (std::size_t k = 0; k < 16; ++k) {
    operands.weight.data()[k] = 2;
    operands.multiplier.data()[k] = k == 1 ? 3e38F : 0.25F;
    operands.bias.data()[k] = k == 2 ? -3e38F : (k == 3 ? 3e38F : 0.0F);
  }
  SerialParallel serial;
  for (const ConvKernel& kernel : conv_kernels()) {
    if (!testing::cpu_has(kernel.needs)) continue;
    const auto conv = kernel.make(operands.problem, 1);
    if (conv == nullptr) continue;
    const auto out = run(*conv, operands, serial);
    for (std::size_t x = 0; x < 256; ++x) {
      const std::size_t half = x / 2 + (x % 4 == 3 ? 1 : 0);
      EXPECT_EQ(out[x * 16], half) << kernel.name << " at " << x;
      EXPECT_EQ(out[x * 16 + 1], x == 0 ? 0 : 255) << kernel.name << " at " << x;
      EXPECT_EQ(out[x * 16 + 2], 0) << kernel.name << " at " << x;
      EXPECT_EQ(out[x * 16 + 3], 255) << kernel.name << " at " << x;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, ConvRow, ::testing::Range<std::size_t>(0, conv_kernels().size()),
                         [](const auto& param) { return conv_kernels()[param.param].name; });

}  // namespace
}  // namespace enn

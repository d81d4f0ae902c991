#include <cmath>
#include <vector>

#include "kernels/conv/conv_tables.hpp"
#include "kernels/conv/function.hpp"
#include "kernels/quantization.hpp"
#include "kernels/split.hpp"

namespace enn {
namespace {

class ReferenceConv final : public Conv {
 public:
  explicit ReferenceConv(const ConvProblem& problem)
      : problem_(problem),
        weight_(problem.weight_source.packed<std::vector<std::int8_t>>(
            "conv_u8_s8_u8_reference",
            [&] {
              const std::int64_t count = problem.geometry.out_c * problem.geometry.depth();
              return std::vector<std::int8_t>(problem.weight, problem.weight + count);
            })),
        multiplier_(problem.multiplier, problem.multiplier + problem.geometry.out_c),
        bias_(problem.bias, problem.bias + problem.geometry.out_c) {
    if (problem.slopes != nullptr) {
      slopes_.assign(problem.slopes, problem.slopes + problem.geometry.out_c);
      problem_.slopes = slopes_.data();
    }
    problem_.weight_source = {};
    problem_.channel_source = {};
  }

  const char* name() const noexcept override { return "conv_u8_s8_u8_reference"; }
  std::size_t scratch_bytes() const noexcept override { return 0; }

  void run(const std::uint8_t* input, const std::uint8_t* residual, std::uint8_t* output,
           std::byte* /*scratch*/, Parallel& parallel) const noexcept override {
    const ConvGeometry& g = problem_.geometry;
    split(parallel, g.pixels(), g.out_c * g.depth(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        for (std::int64_t k = 0; k < g.out_c; ++k) {
          const std::int64_t i = pixel * g.out_c + k;
          float sum = std::fma(static_cast<float>(accumulate(input, pixel, k)),
                               multiplier_.data()[k], bias_.data()[k]);
          if (residual != nullptr) {
            sum = std::fma(static_cast<float>(residual[i] - problem_.residual_zero_point),
                           problem_.residual_multiplier, sum);
          }
          const ConvFunction f = function_of_channel(problem_.function, problem_.slopes, k);
          output[i] = static_cast<std::uint8_t>(round_and_clamp(
              apply(f, sum), problem_.output_zero_point, problem_.output_min, problem_.output_max));
        }
      }
    });
  }

 private:
  std::int32_t accumulate(const std::uint8_t* input, std::int64_t pixel, std::int64_t k) const {
    const ConvGeometry& g = problem_.geometry;
    const std::int64_t cg = g.group_in();
    const std::int64_t n = pixel / (g.out_h * g.out_w);
    const std::int64_t p = pixel / g.out_w % g.out_h;
    const std::int64_t q = pixel % g.out_w;
    std::int32_t acc = 0;
    for (std::int64_t r = 0; r < g.kernel_h; ++r) {
      const std::int64_t h = p * g.stride_h - g.pad_top + r * g.dilation_h;
      if (h < 0 || h >= g.in_h) continue;
      for (std::int64_t s = 0; s < g.kernel_w; ++s) {
        const std::int64_t w = q * g.stride_w - g.pad_left + s * g.dilation_w;
        if (w < 0 || w >= g.in_w) continue;
        const std::uint8_t* x =
            input + ((n * g.in_h + h) * g.in_w + w) * g.in_c + k / g.group_out() * cg;
        const std::int8_t* y = weight_->data() + ((k * g.kernel_h + r) * g.kernel_w + s) * cg;
        for (std::int64_t c = 0; c < cg; ++c) {
          acc += (x[c] - problem_.input_zero_point) * (y[c] - problem_.weight_zero_point);
        }
      }
    }
    return acc;
  }

  ConvProblem problem_;
  std::shared_ptr<const std::vector<std::int8_t>> weight_;
  std::vector<float> multiplier_;
  std::vector<float> bias_;
  std::vector<float> slopes_;
};

}  // namespace

std::unique_ptr<Conv> conv_u8_s8_u8_reference(const ConvProblem& problem, int /*max_threads*/) {
  return std::make_unique<ReferenceConv>(problem);
}

}  // namespace enn

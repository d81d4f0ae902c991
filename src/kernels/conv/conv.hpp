// 8-bit convolution.
//
//   out[n][p][q][k] = clamp(round_half_even(sum) + output_zero_point, output_min, output_max)
//   sum = fma(float(acc), multiplier[k], bias[k])
//   acc = sum over r, s, c of (in[n][p * stride_h - pad_top + r * dilation_h]
//                               [q * stride_w - pad_left + s * dilation_w][g * cg + c] -
//                               input_zero_point)
//                             * (weight[k][r][s][c] - weight_zero_point),     exact in int32
//
// with cg = in_c / groups and g = k / (out_c / groups). Where a residual is added,
//
//   sum = fma(float(residual[n][p][q][k] - residual_zero_point), residual_multiplier,
//             fma(float(acc), multiplier[k], bias[k]))
//
// and where there is a function, it is apply(function, sum) that is rounded, see ConvFunction; with
// slopes, of channel k, it is sum > 0 ? sum : sum * slope[k].
//
// Positions outside the input contribute 0;
// how much padding there is below and to the right follows from the output's size. The clamp
// happens in float before the rounding, so that no value is too large to convert; both orders agree
// because the limits are integers. All images are NHWC, dense. Every implementation gives the same
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/cpu_features.hpp"
#include "base/pack_cache.hpp"
#include "enn/parallel.hpp"

namespace enn {

struct ConvGeometry {
  std::int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  std::int64_t out_h = 1, out_w = 1, out_c = 1;
  std::int64_t kernel_h = 1, kernel_w = 1, groups = 1;
  std::int64_t stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;

  [[nodiscard]] std::int64_t group_in() const { return in_c / groups; }
  [[nodiscard]] std::int64_t group_out() const { return out_c / groups; }
  // Products summed into one output element.
  [[nodiscard]] std::int64_t depth() const { return kernel_h * kernel_w * group_in(); }
  [[nodiscard]] std::int64_t pixels() const { return batch * out_h * out_w; }
};

// The factor of a function that is a product, of the real argument x.
enum class ConvGate : std::uint8_t {
  None,           // no function
  Slope,          // 1 for x > 0, else `slope`: leaky_relu, and prelu with the slope of the channel
  Hard,           // clamp(x / 6 + 1 / 2, 0, 1): hardswish, hardsigmoid
  Logistic,       // 1 / (1 + exp(-x)): silu, sigmoid
  Normal,         // the normal distribution: gelu
  CubicLogistic,  // logistic(2 sqrt(2 / pi) (x + 0.044715 x^3)): gelu by the tanh approximation
};

// apply(f, v) = gate(v * step) * (multiplies ? v : unit), for v in steps of the result: x = v *
// step. function.hpp has the floating point operations.
struct ConvFunction {
  ConvGate gate = ConvGate::None;
  bool multiplies = true;
  float step = 1;   // scale of the result; finite, above 0
  float unit = 1;   // 1 in steps
  float slope = 1;  // finite
  float floor = 0;  // what lies below counts as it: there the gate, where it falls to 0, is 0
};

// `floor` and `unit` follow from the rest.
[[nodiscard]] ConvFunction conv_function(ConvGate gate, bool multiplies, float step,
                                         float slope = 1);

// Preconditions: in_c and out_c are multiples of groups; every product of sizes fits in int64;
// depth * 255 * max |weight - weight_zero_point| < 2^31; multipliers and bias are finite;
// zero points lie in [0, 255] and weight_zero_point in [-128, 127]; output_min <= output_max.
struct ConvProblem {
  ConvGeometry geometry;
  const std::int8_t* weight = nullptr;  // [out_c][kernel_h][kernel_w][in_c / groups]
  const float* multiplier = nullptr;    // [out_c]
  const float* bias = nullptr;          // [out_c]
  std::int32_t weight_zero_point = 0;
  std::int32_t input_zero_point = 0;
  std::int32_t output_zero_point = 0;
  std::uint8_t output_min = 0;
  std::uint8_t output_max = 255;
  std::int32_t residual_zero_point = 0;
  float residual_multiplier = 0;
  ConvFunction function;
  const float* slopes =
      nullptr;  // [out_c], finite: with a function of ConvGate::Slope, in its place
  // Names the weight with its shape, the groups and the zero point.
  PackSource weight_source;
  // Names that, the zero point of the input and all that has one value per channel.
  PackSource channel_source;
};

// What a kernel adds to its results before it rounds them: multiplier * (element - zero_point).
// Nothing when there are no elements.
struct ConvResidual {
  const std::uint8_t* elements = nullptr;  // one for each of the results, as far apart as these
  std::int32_t zero_point = 0;
  float multiplier = 0;
};

// A convolution prepared for one kernel. What it packs it shares with those of the same sources.
class Conv {
 public:
  virtual ~Conv() = default;
  // Name of the kernel, e.g. "igemm_u8_s8_u8_6x16c2_avx2".
  [[nodiscard]] virtual const char* name() const noexcept = 0;
  // Bytes that run() needs at `scratch`, for the thread count it was made for.
  [[nodiscard]] virtual std::size_t scratch_bytes() const noexcept = 0;
  // `residual`, of the output's shape, is null where none is added. `output` overlaps
  // neither of the operands; reads nothing outside them. `scratch` is 64-byte aligned.
  // parallel.thread_count() is at most the max_threads it was made for.
  virtual void run(const std::uint8_t* input, const std::uint8_t* residual, std::uint8_t* output,
                   std::byte* scratch, Parallel& parallel) const noexcept = 0;
};

// One row of kernels.def. make() gives nullptr for a problem that the kernel does not take.
struct ConvKernel {
  const char* name;
  CpuFeatures needs;
  std::unique_ptr<Conv> (*make)(const ConvProblem& problem, int max_threads);
};

// All rows, best first; the last is the reference, which takes everything.
[[nodiscard]] std::span<const ConvKernel> conv_kernels();

// The first row that `features` allow and that takes the problem. The pointers in `problem` are
// needed only during the call.
[[nodiscard]] std::unique_ptr<Conv> make_conv(const ConvProblem& problem, CpuFeatures features,
                                              int max_threads);

}  // namespace enn

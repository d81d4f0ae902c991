#include "kernels/conv/conv.hpp"

#include <algorithm>
#include <limits>

#include "kernels/conv/conv_tables.hpp"
#include "kernels/kernel_row.hpp"

namespace enn {
namespace {

using enum CpuFeature;

#define ENN_IGEMM(name, ...)                                                    \
  {#name, needs(__VA_ARGS__), [](const ConvProblem& problem, int max_threads) { \
     return make_igemm_conv(#name, name, problem, max_threads);                 \
   }},
#define ENN_DEPTHWISE(name, ...)                                                \
  {#name, needs(__VA_ARGS__), [](const ConvProblem& problem, int max_threads) { \
     return make_depthwise_conv(#name, name, problem, max_threads);             \
   }},
#define ENN_CONV(name) {#name, CpuFeatures{}, name},
constexpr ConvKernel kConvKernels[] = {
#include "kernels/conv/kernels.def"
};
#undef ENN_IGEMM
#undef ENN_DEPTHWISE
#undef ENN_CONV

}  // namespace

ConvFunction conv_function(ConvGate gate, bool multiplies, float step, float slope) {
  // Where the gate is below 1e-10 for good: x times it, in steps, is then far below half of one.
  // 2^t of function.hpp stays finite down to there.
  const auto end = [&] {
    if (gate == ConvGate::Logistic) return -87.0F;
    if (gate == ConvGate::Normal || gate == ConvGate::CubicLogistic) return -9.0F;
    return -std::numeric_limits<float>::infinity();
  };
  const float floor = std::max(end() / step, std::numeric_limits<float>::lowest());
  return {.gate = gate,
          .multiplies = multiplies,
          .step = step,
          .unit = 1.0F / step,
          .slope = slope,
          .floor = floor};
}

std::span<const ConvKernel> conv_kernels() { return kConvKernels; }

std::unique_ptr<Conv> make_conv(const ConvProblem& problem, CpuFeatures features, int max_threads) {
  for (const ConvKernel& kernel : kConvKernels) {
    if (!features.contains(kernel.needs)) continue;
    if (auto conv = kernel.make(problem, max_threads)) return conv;
  }
  return nullptr;
}

}  // namespace enn

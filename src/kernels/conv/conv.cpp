#include "kernels/conv/conv.hpp"

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
constexpr ConvKernel kKernels[] = {
#include "kernels/conv/kernels.def"
};
#undef ENN_IGEMM
#undef ENN_DEPTHWISE
#undef ENN_CONV

}  // namespace

std::span<const ConvKernel> conv_kernels() { return kKernels; }

std::unique_ptr<Conv> make_conv(const ConvProblem& problem, CpuFeatures features, int max_threads) {
  for (const ConvKernel& kernel : kKernels) {
    if (!features.contains(kernel.needs)) continue;
    if (auto conv = kernel.make(problem, max_threads)) return conv;
  }
  return nullptr;
}

}  // namespace enn

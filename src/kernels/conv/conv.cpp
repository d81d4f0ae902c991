#include "kernels/conv/conv.hpp"

#include "kernels/conv/conv_makers.hpp"
#include "kernels/kernel_row.hpp"

namespace enn {
namespace {

using enum CpuFeature;

constexpr ConvKernel kKernels[] = {
#define ENN_CONV(name, maker, ...) {#name, needs(__VA_ARGS__), maker},
#include "kernels/conv/kernels.def"
#undef ENN_CONV
};

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

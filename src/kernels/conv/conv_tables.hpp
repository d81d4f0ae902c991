// What the rows of kernels.def refer to: a tile or a row function with its packing, defined by an
// ISA source under the row's own name.
#pragma once

#include "kernels/conv/depthwise.hpp"
#include "kernels/conv/igemm.hpp"

namespace enn {

#define ENN_IGEMM(name, ...) extern const IgemmKernel name;
#define ENN_DEPTHWISE(name, ...) extern const DepthwiseKernel name;
#define ENN_CONV(name) \
  [[nodiscard]] std::unique_ptr<Conv> name(const ConvProblem& problem, int max_threads);
#include "kernels/conv/kernels.def"
#undef ENN_IGEMM
#undef ENN_DEPTHWISE
#undef ENN_CONV

}  // namespace enn

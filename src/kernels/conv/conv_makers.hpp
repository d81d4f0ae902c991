// What the rows of kernels.def refer to.
#pragma once

#include <memory>

#include "kernels/conv/conv.hpp"

namespace enn {

[[nodiscard]] std::unique_ptr<Conv> make_reference_conv(const ConvProblem& problem,
                                                        int max_threads);

}  // namespace enn

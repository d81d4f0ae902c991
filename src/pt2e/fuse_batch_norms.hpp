#pragma once

#include "enn/result.hpp"
#include "ir/graph.hpp"

namespace enn {

// Folds each batch norm that alone reads a convolution into new constants of that convolution,
// rounded as torchao's prepare_pt2e rounds them; the batch norm is erased. Unlike torchao's, a
// convolution whose result is read elsewhere too stays as it is, and convolutions that share a
// weight each get their own.
[[nodiscard]] Status fuse_batch_norms(Graph& graph);

}  // namespace enn

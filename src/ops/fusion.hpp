// Which operators run in the epilogue of the one before them. The quantizer leaves the values in
// between unquantized; the compiler's passes fold_batch_norm and fuse_activations fuse what is left
// so.
#pragma once

#include <vector>

#include "ir/graph.hpp"

namespace enn {

// The step of `op` ends with a clamp to an activation range.
[[nodiscard]] bool has_activation_range(Op op);

// The nodes behind `node` that run in its epilogue, in the order of execution: a batch norm over
// its output channels, then relu or a clamp that begins at 0, each the only reader of the value
// before it.
[[nodiscard]] std::vector<NodeId> fused_followers(const Graph& graph, NodeId node);

}  // namespace enn

// Which operators run in the epilogue of the one before them. The quantizer leaves the values in
// between unquantized; the compiler's passes fold_batch_norm, fuse_activations and fold_qdq fuse
// what is left so.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// The step of `op` ends with a clamp to an activation range.
[[nodiscard]] bool has_activation_range(Op op);

// The nodes behind `node` that run in its epilogue, in the order of execution: a batch norm over
// its output channels, then relu or a clamp that begins at 0, each the only reader of the value
// before it.
[[nodiscard]] std::vector<NodeId> fused_followers(const Graph& graph, NodeId node);

// An addition that a convolution or a linear layer does before it rounds its result.
struct ResidualSum {
  NodeId sum = kNone;
  ValueId residual = kNone;  // the other operand
};

// The addition of equal shapes that alone reads what `node` computes, behind a batch norm or not.
[[nodiscard]] std::optional<ResidualSum> residual_sum_of(const Graph& graph, NodeId node);

}  // namespace enn

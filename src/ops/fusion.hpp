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
// its output channels, then relu, a clamp that begins at 0, or behind a layer an epilogue function,
// each the only reader of the value before it. A function that is written out (written_out.hpp)
// follows with all of its nodes.
[[nodiscard]] std::vector<NodeId> fused_followers(const Graph& graph, NodeId node);

// A function that a layer applies to its sums ahead of rounding: ConvFunction of
// kernels/conv/conv.hpp.
[[nodiscard]] bool is_epilogue_function(Op op);

// prelu with constant slopes, one or one for each output channel of the layer before it.
[[nodiscard]] bool is_prelu_of_channels(const Graph& graph, NodeId layer, NodeId prelu);

// An addition that the operator before it does ahead of rounding.
struct FusedSum {
  NodeId sum = kNone;
  ValueId operand = kNone;  // the other one
};

// The addition of equal shapes that alone reads what a convolution or a linear layer computes,
// behind a batch norm or not.
[[nodiscard]] std::optional<FusedSum> residual_sum_of(const Graph& graph, NodeId node);

// The addition of a constant that alone reads the product of a value and a constant, both constants
// with one element per channel: an affine map (ops/channel_affine).
[[nodiscard]] std::optional<FusedSum> affine_sum_of(const Graph& graph, NodeId node);

// A concatenation of channels that a batch norm alone reads: its factors per channel take in those
// of quantization, so that each operand has a scale of its own and the bytes are joined as they
// are.
[[nodiscard]] bool is_scaled_by_reader(const Graph& graph, NodeId concat);

// The operands of an elementwise node that computes floats from floats, numbers (constants with one
// element) left out. Empty when the node is another one.
[[nodiscard]] std::vector<ValueId> elementwise_operands(const Graph& graph, const Node& node);

// The channels' dimension of a constant that is added to or multiplied with values of `shape`: the
// only one that it does not broadcast along, if that is the last, or the second of four.
[[nodiscard]] std::optional<std::size_t> channel_dim(const Shape& constant, const Shape& shape);

}  // namespace enn

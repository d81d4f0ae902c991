// What an operand of an elementwise operator is converted to before it computes.
#pragma once

#include "ir/graph.hpp"
#include "ops/import.hpp"

namespace enn {

// The element type in which a node of the families binary and where computes: the operands' common
// one where the result is a truth value, else the result's.
[[nodiscard]] DType compute_dtype(const Graph& graph, const Node& node);

// The shape under which the weight of prelu broadcasts against its input: one dimension lies along
// dimension 1.
[[nodiscard]] Shape prelu_weight_shape(const Shape& input, const Shape& weight);

// The operand `name` of a call, or a constant of rank 0 for a Python number: in the element type of
// `beside` where that can hold it, else int64 or float32.
[[nodiscard]] Result<ValueId> tensor_or_scalar(Graph& graph, const Call& call,
                                               std::string_view name, ValueId beside);

// Both operands, either of which may be a Python number.
[[nodiscard]] Result<std::pair<ValueId, ValueId>> operand_pair(Graph& graph, const Call& call,
                                                               std::string_view first,
                                                               std::string_view second);

}  // namespace enn

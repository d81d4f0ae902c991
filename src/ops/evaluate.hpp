// Operators on constants, computed when compiling with the functions that the kernels run.
#pragma once

#include <vector>

#include "ir/graph.hpp"

namespace enn {

// True when evaluate() can compute the node once its operands are constant. Depends on the
// operator, types and shapes alone. A result that is much larger than the operands is left to the
// engine, lest programs grow.
[[nodiscard]] bool is_evaluable(const Graph& graph, const Node& node);

// The elements of each result. Preconditions: is_evaluable; operands are constant, but that of a
// Fill; operands of elementwise functions agree in element type (pass promote_operands).
[[nodiscard]] Result<std::vector<ConstantData>> evaluate(const Graph& graph, const Node& node);

// ops/unary: the node's function on each value.
[[nodiscard]] std::vector<float> evaluate_unary(const Node& node, std::vector<float> values);

}  // namespace enn

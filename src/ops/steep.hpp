// Functions that tell apart what one 8-bit step does not: the sine of an angle of many turns, the
// logarithm of numbers near zero, division by them, reading an image at places that are given.
// Their operands stay in float.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// Of the operand at this index.
[[nodiscard]] bool is_steep(Op op, std::size_t operand);
// Functions of single elements, products of matrices, and what moves elements: on the way to a
// steep function they run in float as a whole, others give a float result.
[[nodiscard]] bool passes_steepness(const Graph& graph, const Node& node);
// By value: whether nothing but steep functions reads it, directly or through such nodes.
[[nodiscard]] std::vector<bool> values_read_steeply(const Graph& graph);

}  // namespace enn

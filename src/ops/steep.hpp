// Functions whose result changes a lot within one 8-bit step of an operand: a sine, a logarithm, a
// divisor. What they read stays in float.
#pragma once

#include <cstddef>

#include "ir/graph.hpp"

namespace enn {

// Whether operand `operand` of the node needs more than 8 bits.
[[nodiscard]] bool is_steep(const Graph& graph, const Node& node, std::size_t operand);
// Whether the result jumps where the operand passes a bound: rounding, a remainder, a comparison of
// computed values.
[[nodiscard]] bool jumps(const Graph& graph, const Node& node, std::size_t operand);
// A comparison of two values that are both computed, or of one with itself or with infinity: the
// test for numbers that are none.
[[nodiscard]] bool compares_computed(const Graph& graph, const Node& node);
// Looks for NaN, infinities or equal numbers outside the engine.
[[nodiscard]] bool tests_numbers(const Node& node);
// Operators whose operands stay in float too when the result must: elementwise ones, products of
// matrices and those that only move elements.
[[nodiscard]] bool passes_steepness(const Graph& graph, const Node& node);

}  // namespace enn

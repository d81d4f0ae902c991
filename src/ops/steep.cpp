#include "ops/steep.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

#include "ops/common.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

// Near the largest operand one step of 1/255 changes x^p by p of the result's steps; below a power
// of 1 it is the smallest operands whose powers are far apart.
bool is_steep_power(double exponent) { return exponent < 1.0 || exponent >= 4.0; }

// The number that a constant holds, if it is one.
std::optional<double> number_of(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  float number = 0;
  if (!value.is_constant() || value.type.dtype != DType::Float32 ||
      value.data->size() != sizeof(number)) {
    return std::nullopt;
  }
  std::memcpy(&number, value.data->data(), sizeof(number));
  return static_cast<double>(number);
}

bool is_steep_pow(const Graph& graph, const Node& node, std::size_t operand) {
  if (operand == 1) return !is_constant_expression(graph, node.inputs[1]);
  const auto exponent = number_of(graph, node.inputs[1]);
  return !exponent || is_steep_power(*exponent);
}

bool compares(Op op) {
  switch (op) {
    case Op::Eq:
    case Op::Ne:
    case Op::Lt:
    case Op::Le:
    case Op::Gt:
    case Op::Ge:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_steep(const Graph& graph, const Node& node, std::size_t operand) {
  switch (node.op) {
    case Op::Sin:
    case Op::Cos:
    case Op::Tan:
    case Op::Log:
    case Op::Log1p:
    case Op::Log2:
    case Op::Log10:
    case Op::Asin:
    case Op::Acos:
    case Op::Asinh:
    case Op::Acosh:
    case Op::Atanh:
    case Op::Exp:
    case Op::Expm1:
    case Op::Sinh:
    case Op::Cosh:
    case Op::ScalarPow:
    case Op::Sqrt:
    case Op::Reciprocal:
    case Op::Rsqrt:
      return true;
    case Op::PowScalar:
      return is_steep_power(node.attrs.number("alpha"));
    case Op::Pow:
      return is_steep_pow(graph, node, operand);
    case Op::Div:
    case Op::FloorDivide:
    case Op::TruncDivide:
    case Op::Remainder:
    case Op::Fmod:
    case Op::GridSample:
      return operand == 1;
    default:
      return false;
  }
}

bool compares_computed(const Graph& graph, const Node& node) {
  if (!compares(node.op)) return false;
  return std::ranges::all_of(node.inputs, [&](ValueId id) {
    if (!is_float_value(graph, id)) return false;
    const auto number = number_of(graph, id);
    return number ? std::isinf(*number) : !is_constant_expression(graph, id);
  });
}

bool tests_numbers(const Node& node) {
  constexpr std::array<std::string_view, 9> kTests{
      "aten.isnan.",   "aten.isinf.",      "aten.isfinite.", "aten.isposinf.", "aten.isneginf.",
      "aten.isclose.", "aten.nan_to_num.", "aten.equal.",    "aten.allclose."};
  return std::ranges::any_of(kTests,
                             [&](std::string_view test) { return node.target.starts_with(test); });
}

bool jumps(const Graph& graph, const Node& node, std::size_t operand) {
  switch (node.op) {
    case Op::Floor:
    case Op::Ceil:
    case Op::Round:
    case Op::Trunc:
    case Op::Sign:
      return true;
    case Op::FloorDivide:
    case Op::TruncDivide:
    case Op::Remainder:
    case Op::Fmod:
      return operand == 0;
    default:
      return compares_computed(graph, node) || node.target.starts_with("aten.frac.");
  }
}

bool passes_steepness(const Graph& graph, const Node& node) {
  const std::string_view name = family(node.op);
  return is_elementwise(node.op) || name == "where" || name == "convert" || node.op == Op::MatMul ||
         moves_elements(graph, node);
}

}  // namespace enn

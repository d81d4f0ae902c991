// Functions of two operands that broadcast; a scalar operand is a constant of rank 0. Attributes:
// alpha (of add and sub, only when it is not 1); logical (operands count as truth values). Operands
// may differ in element type until the pass promote_operands.
#include <array>
#include <cstring>
#include <limits>

#include "ops/binary/binary.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"

namespace enn {

Result<ValueId> tensor_or_scalar(Graph& graph, const Call& call, std::string_view name,
                                 ValueId beside) {
  const Arguments args(call);
  const Argument* found = args.find(name);
  if (found == nullptr || std::holds_alternative<TensorArgument>(*found)) return args.tensor(name);
  const std::string label = str(call.name, '.', name);
  const DType dtype = beside == kNone ? call.results.front().dtype : graph.value(beside).type.dtype;
  const bool whole =
      std::holds_alternative<std::int64_t>(*found) || std::holds_alternative<bool>(*found);
  if (is_float(dtype) || !whole) {
    ENN_ASSIGN(const double number, args.number(name));
    const std::array value{static_cast<float>(number)};
    return ValueId{add_float_constant(graph, label, {}, value)};
  }
  if (const auto* flag = std::get_if<bool>(found)) {
    return ValueId{add_constant(graph, label, {DType::Bool, {}}, std::vector<std::uint8_t>{*flag})};
  }
  const std::int64_t number = std::get<std::int64_t>(*found);
  if (dtype == DType::Int32 && number == std::int64_t{static_cast<std::int32_t>(number)}) {
    return ValueId{add_constant(graph, label, {DType::Int32, {}},
                                std::vector<std::int32_t>{static_cast<std::int32_t>(number)})};
  }
  return ValueId{add_constant(graph, label, {DType::Int64, {}}, std::vector<std::int64_t>{number})};
}

Result<std::pair<ValueId, ValueId>> operand_pair(Graph& graph, const Call& call,
                                                 std::string_view first, std::string_view second) {
  const Arguments args(call);
  const auto tensor_of = [&](std::string_view name) {
    const Argument* found = args.find(name);
    const auto* tensor = found == nullptr ? nullptr : std::get_if<TensorArgument>(found);
    return tensor == nullptr ? kNone : tensor->id;
  };
  ENN_ASSIGN(const ValueId a, tensor_or_scalar(graph, call, first, tensor_of(second)));
  ENN_ASSIGN(const ValueId b, tensor_or_scalar(graph, call, second, tensor_of(first)));
  return std::pair(a, b);
}

namespace {

Result<NodeId> import_pair(Graph& graph, const Call& call, Op op, std::string_view first,
                           std::string_view second, Attributes attrs) {
  ENN_ASSIGN(const auto operands, operand_pair(graph, call, first, second));
  return NodeId{add_call(graph, call, op, {operands.first, operands.second}, std::move(attrs))};
}

Result<Attributes> alpha_of(const Call& call) {
  ENN_ASSIGN(const double alpha, Arguments(call).number("alpha", 1.0));
  Attributes attrs;
  if (alpha != 1.0) attrs.set("alpha", alpha);
  return Attributes(std::move(attrs));
}

// The operator with one number beside the call's only operand.
Result<NodeId> import_beside(Graph& graph, const Call& call, Op op, std::int64_t number) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  Call with_number = call;
  with_number.arguments.emplace_back("other", number);
  ENN_ASSIGN(const ValueId other, tensor_or_scalar(graph, with_number, "other", input));
  return NodeId{add_call(graph, call, op, {input, other})};
}

}  // namespace

Result<NodeId> import_binary(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(Attributes attrs, alpha_of(call));
  return import_pair(graph, call, op, "self", "other", std::move(attrs));
}

Result<NodeId> import_rsub(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(Attributes attrs, alpha_of(call));
  return import_pair(graph, call, op, "other", "self", std::move(attrs));
}

Result<NodeId> import_div(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const std::string mode, Arguments(call).text("rounding_mode", ""));
  if (mode == "floor") op = Op::FloorDivide;
  if (mode == "trunc") op = Op::TruncDivide;
  return import_pair(graph, call, op, "self", "other", {});
}

Result<NodeId> import_pow(Graph& graph, const Call& call, Op op) {
  return import_pair(graph, call, op, "self", "exponent", {});
}

Result<NodeId> import_logical(Graph& graph, const Call& call, Op op) {
  Attributes attrs;
  attrs.set("logical", true);
  return import_pair(graph, call, op, "self", "other", std::move(attrs));
}

// not x is x == 0.
Result<NodeId> import_logical_not(Graph& graph, const Call& call, Op op) {
  return import_beside(graph, call, op, 0);
}

// A NaN is what differs from itself.
Result<NodeId> import_isnan(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  return NodeId{add_call(graph, call, op, {input, input})};
}

// |x| == inf; no integer is (x != x).
Result<NodeId> import_isinf(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  const TensorType type = graph.value(input).type;
  if (!is_float(type.dtype)) return NodeId{add_call(graph, call, Op::Ne, {input, input})};
  const ValueId magnitude = internal_value(graph, Op::Abs, call.name + ".abs", {input}, type);
  const std::array infinity{std::numeric_limits<float>::infinity()};
  const ValueId constant = add_float_constant(graph, call.name + ".infinity", {}, infinity);
  return NodeId{add_call(graph, call, op, {magnitude, constant})};
}

// All bits flipped: of a truth value the only one.
Result<NodeId> import_bitwise_not(Graph& graph, const Call& call, Op op) {
  const bool truth = call.results.front().dtype == DType::Bool;
  if (!truth) return import_beside(graph, call, op, -1);
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  const ValueId yes =
      add_constant(graph, call.name + ".true", {DType::Bool, {}}, std::vector<std::uint8_t>{1});
  return NodeId{add_call(graph, call, op, {input, yes})};
}

Result<NodeId> import_unary(Graph& graph, const Call& call, Op op);

// Functions of one operand are functions of floats; an integer is multiplied by -1.
Result<NodeId> import_neg(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  const DType dtype = graph.value(input).type.dtype;
  const bool whole = dtype == DType::Int32 || dtype == DType::Int64;
  return whole ? import_beside(graph, call, Op::Mul, -1) : import_unary(graph, call, op);
}

// Bounds that are tensors, either of which may be absent.
Result<NodeId> import_clamp_tensor(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const ValueId minimum, args.optional_tensor("min"));
  ENN_ASSIGN(const ValueId maximum, args.optional_tensor("max"));
  if (maximum == kNone && minimum != kNone)
    return NodeId{add_call(graph, call, Op::Maximum, {input, minimum})};
  if (minimum == kNone && maximum != kNone)
    return NodeId{add_call(graph, call, Op::Minimum, {input, maximum})};
  return NodeId{add_call(graph, call, op, {input, minimum, maximum})};
}

// The weight lies along dimension 1; the pass promote_operands gives it the rank of the input.
Result<NodeId> import_prelu(Graph& graph, const Call& call, Op op) {
  return import_pair(graph, call, op, "self", "weight", {});
}

}  // namespace enn

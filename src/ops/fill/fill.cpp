// Tensors whose elements follow from attributes: constants, which the pass fold_constants computes.
// Fill: every element is `value` (number or integer). Arange: start + i * step. Attributes also:
// dtype, shape. An operand, if there is one, gave the shape alone; it keeps the order of nodes.
#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// Python's bool and int stay whole, so that int64 keeps all digits.
Status set_number(Attributes& attrs, const Arguments& args, std::string_view name,
                  std::string_view attribute, std::int64_t otherwise) {
  const Argument* found = args.find(name);
  const auto* whole = found == nullptr ? nullptr : std::get_if<std::int64_t>(found);
  const auto* flag = found == nullptr ? nullptr : std::get_if<bool>(found);
  if (found == nullptr) {
    attrs.set(std::string(attribute), otherwise);
  } else if (whole != nullptr) {
    attrs.set(std::string(attribute), *whole);
  } else if (flag != nullptr) {
    attrs.set(std::string(attribute), std::int64_t{*flag});
  } else {
    ENN_ASSIGN(const double number, args.number(name));
    attrs.set(std::string(attribute), number);
  }
  return {};
}

Result<NodeId> add_filled(Graph& graph, const Call& call, Op op, Attributes attrs) {
  ENN_ASSIGN(const ValueId like, Arguments(call).optional_tensor("self"));
  attrs.set("dtype", std::string(to_string(call.results.front().dtype)));
  attrs.set("shape", call.results.front().shape);
  return NodeId{add_call(graph, call, op,
                         like == kNone ? std::vector<ValueId>{} : std::vector{like},
                         std::move(attrs))};
}

Result<NodeId> add_filled_with(Graph& graph, const Call& call, Op op, std::int64_t value) {
  Attributes attrs;
  attrs.set("value", value);
  return add_filled(graph, call, op, std::move(attrs));
}

}  // namespace

Result<NodeId> import_fill(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  Attributes attrs;
  for (const std::string_view name : {"fill_value", "value", "s"}) {
    if (args.has(name)) ENN_TRY(set_number(attrs, args, name, "value", 0));
  }
  return add_filled(graph, call, op, std::move(attrs));
}

Result<NodeId> import_zeros(Graph& graph, const Call& call, Op op) {
  return add_filled_with(graph, call, op, 0);
}

Result<NodeId> import_ones(Graph& graph, const Call& call, Op op) {
  return add_filled_with(graph, call, op, 1);
}

Result<NodeId> import_arange(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  Attributes attrs;
  ENN_TRY(set_number(attrs, args, "start", "start", 0));
  ENN_TRY(set_number(attrs, args, "step", "step", 1));
  return add_filled(graph, call, op, std::move(attrs));
}

Result<std::vector<TensorType>> infer_fill(const Graph&, const Node& node) {
  const auto dtype = dtype_from_string(node.attrs.text("dtype"));
  if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
  const char* const first = node.op == Op::Fill ? "value" : "start";
  if (!node.attrs.has(first)) return error(Code::InvalidGraph, "attribute ", first, " is missing");
  Shape shape = node.attrs.integers("shape");
  if (!checked_numel(shape))
    return error(Code::InvalidGraph, "shape ", list_str(shape), " is impossible");
  if (node.op == Op::Arange && shape.size() != 1)
    return error(Code::InvalidGraph, "shape ", list_str(shape), " is not of rank 1");
  return std::vector<TensorType>{{*dtype, std::move(shape)}};
}

std::optional<std::string> support_fill(const Graph& graph, const Node& node) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 26;
  const std::int64_t count = numel(graph.value(node.outputs[0]).type.shape);
  if (count == 0) return "its result is empty";
  if (count > kLargest) return str(count, " elements are too many for a constant");
  return dtype_reason(graph, node, kElementTypes);
}

void annotate_fill(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_fill(const Graph&, const Node&) { return {LayoutRule::Same, QuantizedForm::None}; }

Status lower_fill(const Graph&, const Node& node, ProgramBuilder&) {
  return error(Code::Internal, "node '", node.name, "' was not folded");
}

}  // namespace enn

// Running sums and products, and orders, along one dimension. Attributes: dim; of topk, sort and
// argsort k and largest; of sums and products dtype, the result's.
#include <array>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// The size of the dimension that the node works along; 1 for a scalar.
std::int64_t extent(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  return shape.empty() ? 1 : shape[static_cast<std::size_t>(node.attrs.integer("dim"))];
}

Result<std::int64_t> dim_of(const Graph& graph, const Arguments& args, std::int64_t otherwise) {
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t dim, args.integer("dim", otherwise));
  return normalized_dim(dim, graph.value(input).type.shape.size());
}

bool is_cumulative(Op op) { return op == Op::CumulativeSum || op == Op::CumulativeProduct; }

bool is_taken(Op op, DType from, DType to) {
  if (is_cumulative(op)) {
    return from == DType::Float32 || from == DType::Float16 ? to == from : to == DType::Int64;
  }
  return op == Op::ArgSort || to == from;
}

}  // namespace

Result<NodeId> import_cumulative(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t dim, dim_of(graph, args, 0));
  const DType dtype = call.results.front().dtype;
  Attributes attrs;
  attrs.set("dim", dim);
  attrs.set("dtype", std::string(to_string(dtype)));
  const TensorType type = graph.value(input).type;
  if (is_float(dtype) && !is_float(type.dtype)) {
    Attributes converted = internal_attributes();
    converted.set("dtype", std::string(to_string(dtype)));
    input = internal_value(graph, Op::Convert, call.name + ".converted", {input},
                           {dtype, type.shape}, std::move(converted));
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_topk(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t dim, dim_of(graph, args, -1));
  ENN_ASSIGN(const std::int64_t k, args.integer("k"));
  ENN_ASSIGN(const bool largest, args.boolean("largest", true));
  Attributes attrs;
  attrs.set("dim", dim);
  attrs.set("k", k);
  attrs.set("largest", largest);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_sort(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t dim, dim_of(graph, args, -1));
  ENN_ASSIGN(const bool descending, args.boolean("descending", false));
  const Shape& shape = graph.value(input).type.shape;
  Attributes attrs;
  attrs.set("dim", dim);
  attrs.set("k", shape.empty() ? std::int64_t{1} : shape[static_cast<std::size_t>(dim)]);
  attrs.set("largest", descending);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_scan(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  TensorType type = graph.value(node.inputs[0]).type;
  const std::int64_t dim = node.attrs.integer("dim");
  if (dim < 0 || (dim > 0 && dim >= static_cast<std::int64_t>(type.shape.size()))) {
    return error(Code::InvalidGraph, "dim ", dim, " is out of range");
  }
  if (is_cumulative(node.op)) {
    const auto dtype = dtype_from_string(node.attrs.text("dtype", to_string(type.dtype)));
    if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
    type.dtype = *dtype;
    return std::vector<TensorType>{std::move(type)};
  }
  const std::int64_t k = node.attrs.integer("k");
  if (k < 0 || k > extent(graph, node)) {
    return error(Code::InvalidGraph, k, " elements of ", extent(graph, node), " cannot be taken");
  }
  if (!type.shape.empty()) type.shape[static_cast<std::size_t>(dim)] = k;
  const TensorType places{DType::Int64, type.shape};
  if (node.op == Op::ArgSort) return std::vector<TensorType>{places};
  return std::vector<TensorType>{type, places};
}

std::optional<std::string> support_scan(const Graph& graph, const Node& node) {
  const TensorType& input = graph.value(node.inputs[0]).type;
  const DType to = graph.value(node.outputs[0]).type.dtype;
  if (auto reason = dtype_reason(graph, node,
                                 std::array{DType::Float32, DType::Int8, DType::UInt8, DType::Int32,
                                            DType::Int64, DType::Bool})) {
    return reason;
  }
  const bool sorts = !is_cumulative(node.op);
  if (sorts && (input.dtype == DType::Int64 || input.dtype == DType::Bool)) {
    return str("it orders ", to_string(input.dtype), ", which is not taken");
  }
  if (!sorts && (input.dtype == DType::Int8 || input.dtype == DType::UInt8)) {
    return str("running ", node.op == Op::CumulativeSum ? "sums" : "products", " of ",
               to_string(input.dtype), " are not taken");
  }
  if (!is_taken(node.op, input.dtype, to)) {
    return str("a result of ", to_string(to), " from ", to_string(input.dtype), " is not taken");
  }
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  if (extent(graph, node) > INT32_MAX) return "its dimension is too long";
  return std::nullopt;
}

void annotate_scan(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  // A node with several results is read through its parts, which torchao observes on their own.
  if (is_cumulative(graph.node(node).op)) annotate_all(graph, node, config, annotations);
}

Traits traits_scan(const Graph&, const Node& node) {
  // Quantization keeps the order.
  return {LayoutRule::Same, is_cumulative(node.op) ? QuantizedForm::None : QuantizedForm::Moves};
}

Status lower_scan(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const bool scalar = input.type.shape.empty();
  const auto axis = scalar ? 0U : physical_dim(input, node.attrs.integer("dim"));
  const auto physical = [&](ValueId id) {
    return scalar ? Shape{1} : physical_shape(graph.value(id));
  };
  const auto emit_cumulative = [&](auto op) {
    op.input = builder.read_as(node.inputs[0], physical(node.inputs[0]));
    op.output = builder.write_as(node.outputs[0], physical(node.outputs[0]));
    op.axis = axis;
    builder.emit(node, std::move(op));
    return Status();
  };
  if (node.op == Op::CumulativeSum) return emit_cumulative(program::CumulativeSumT());
  if (node.op == Op::CumulativeProduct) return emit_cumulative(program::CumulativeProductT());
  program::TopKT op;
  op.input = builder.read_as(node.inputs[0], physical(node.inputs[0]));
  op.values = UINT32_MAX;
  if (node.op == Op::TopK) {
    op.values = builder.write_as(node.outputs[0], physical(node.outputs[0]));
  }
  const ValueId places = node.outputs.back();
  op.indices = builder.write_as(places, physical(places));
  op.axis = axis;
  op.largest = node.attrs.boolean("largest");
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

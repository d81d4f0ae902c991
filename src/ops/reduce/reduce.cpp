// Reductions. Attributes: dims (counted from the front, ascending), keepdim; of variances
// correction; dtype when the result's is not the operand's.
#include "ops/reduce/reduce.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

bool gives_place(Op op) { return op == Op::ArgMax || op == Op::ArgMin; }
bool gives_value_and_place(Op op) { return op == Op::MaxDim || op == Op::MinDim; }
bool gives_mean_too(Op op) { return op == Op::VarianceMean || op == Op::DeviationMean; }

bool is_reduced(const std::vector<std::int64_t>& dims, std::size_t dim) {
  return std::find(dims.begin(), dims.end(), static_cast<std::int64_t>(dim)) != dims.end();
}

// dims and keepdim.
Result<Attributes> reduction_attributes(const Graph& graph, const Arguments& args) {
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(auto dims, args.integers("dim"));
  ENN_ASSIGN(const bool keepdim, args.boolean("keepdim", false));
  const std::size_t rank = graph.value(input).type.shape.size();
  for (std::int64_t& dim : dims) {
    ENN_ASSIGN(dim, normalized_dim(dim, rank));
  }
  if (dims.empty()) {
    dims.resize(rank);
    std::iota(dims.begin(), dims.end(), std::int64_t{0});
  }
  if (rank == 0) dims.clear();
  std::sort(dims.begin(), dims.end());
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  attrs.set("keepdim", keepdim);
  return Attributes(std::move(attrs));
}

// Types of operand and result that the operator goes with.
bool takes_types(Op op, DType from, DType to) {
  const bool integer = from == DType::Int32 || from == DType::Int64 || from == DType::Bool;
  switch (op) {
    case Op::Any:
    case Op::All:
      return from == DType::Bool && to == DType::Bool;
    case Op::Amax:
    case Op::Amin:
    case Op::MaxDim:
    case Op::MinDim:
      return from == to;
    case Op::ArgMax:
    case Op::ArgMin:
      return to == DType::Int64;
    case Op::Sum:
    case Op::Prod:
      return integer ? to == DType::Int64 : from == to && is_float(from);
    default:
      return from == to && is_float(from);
  }
}

program::ReduceKind kind_of(Op op) {
  switch (op) {
    case Op::Sum:
      return program::ReduceKind_Sum;
    case Op::Prod:
      return program::ReduceKind_Prod;
    case Op::Amax:
    case Op::Any:
    case Op::MaxDim:
      return program::ReduceKind_Max;
    case Op::Amin:
    case Op::All:
    case Op::MinDim:
      return program::ReduceKind_Min;
    case Op::ArgMax:
      return program::ReduceKind_ArgMax;
    case Op::ArgMin:
      return program::ReduceKind_ArgMin;
    case Op::Variance:
    case Op::VarianceMean:
      return program::ReduceKind_Variance;
    case Op::Deviation:
    case Op::DeviationMean:
      return program::ReduceKind_Deviation;
    default:
      return program::ReduceKind_Mean;
  }
}

}  // namespace

std::optional<std::pair<std::uint32_t, std::uint32_t>> reduced_range(const Node& node,
                                                                     std::size_t rank,
                                                                     Layout layout) {
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  // Over nothing: over a dimension of one element after all others.
  if (dims.empty())
    return std::pair(static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(rank));
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (layout == Layout::ChannelsLast) order = {0, 2, 3, 1};
  std::vector<std::uint32_t> places;
  std::vector<std::size_t> kept;
  std::vector<std::size_t> gone;
  for (std::size_t place = 0; place < rank; ++place) {
    if (is_reduced(dims, order[place])) {
      places.push_back(static_cast<std::uint32_t>(place));
      gone.push_back(order[place]);
    } else {
      kept.push_back(order[place]);
    }
  }
  if (places.empty() || places.back() - places.front() + 1 != places.size()) return std::nullopt;
  if (!std::is_sorted(kept.begin(), kept.end()) && !node.attrs.boolean("keepdim")) {
    return std::nullopt;
  }
  // A place among several dimensions counts in their logical order.
  if (gives_place(node.op) && !std::is_sorted(gone.begin(), gone.end())) return std::nullopt;
  return std::pair{places.front(), places.back()};
}

Result<NodeId> import_reduce(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(Attributes attrs, reduction_attributes(graph, args));
  const DType dtype = call.results.front().dtype;
  if (!gives_place(op) && dtype != graph.value(input).type.dtype) {
    attrs.set("dtype", std::string(to_string(dtype)));
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_variance(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(Attributes attrs, reduction_attributes(graph, args));
  ENN_ASSIGN(const bool unbiased, args.boolean("unbiased", true));
  ENN_ASSIGN(const double correction, args.number("correction", unbiased ? 1.0 : 0.0));
  attrs.set("correction", correction);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_reduce(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  Shape out;
  for (std::size_t i = 0; i < input.shape.size(); ++i) {
    const bool reduced = is_reduced(dims, i);
    if (!reduced) out.push_back(input.shape[i]);
    if (reduced && node.attrs.boolean("keepdim")) out.push_back(1);
  }
  const auto dtype = dtype_from_string(node.attrs.text("dtype", to_string(input.dtype)));
  if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
  std::vector<TensorType> types;
  if (!gives_place(node.op)) types.push_back({*dtype, out});
  if (gives_place(node.op) || gives_value_and_place(node.op)) types.push_back({DType::Int64, out});
  if (gives_mean_too(node.op)) types.push_back({*dtype, out});
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_reduce(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node,
                                 std::array{DType::Float32, DType::Int8, DType::UInt8, DType::Int32,
                                            DType::Int64, DType::Bool})) {
    return reason;
  }
  const TensorType& input = graph.value(node.inputs[0]).type;
  const DType to = graph.value(node.outputs[0]).type.dtype;
  if (!takes_types(node.op, input.dtype, to)) {
    return str("a result of ", to_string(to), " from ", to_string(input.dtype), " is not taken");
  }
  if (numel(input.shape) == 0) return "its input is empty";
  if (input.shape.size() > 6) return str("rank ", input.shape.size(), " is above 6");
  return std::nullopt;
}

void annotate_reduce(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  const Op op = graph.node(node).op;
  // A node with several results is read through its parts, which torchao observes on their own.
  if (gives_value_and_place(op) || gives_mean_too(op)) return;
  if (op == Op::Amax || op == Op::Amin) {
    annotate_shared(graph, node, config, annotations);
  } else {
    annotate_all(graph, node, config, annotations);
  }
}

Traits traits_reduce(const Graph& graph, const Node& node) {
  QuantizedForm form = QuantizedForm::None;
  switch (node.op) {
    case Op::Mean:
    case Op::Sum:
      form = QuantizedForm::Computes;
      break;
    case Op::Amax:
    case Op::Amin:
    case Op::MaxDim:
    case Op::MinDim:
    case Op::ArgMax:
    case Op::ArgMin:
      form = QuantizedForm::Moves;  // quantization keeps the order
      break;
    default:
      break;
  }
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  if (rank == 4 && reduced_range(node, rank, Layout::ChannelsLast)) {
    const bool either = reduced_range(node, rank, Layout::Contiguous).has_value();
    return {either ? LayoutRule::Same : LayoutRule::ChannelsLast, form};
  }
  return {LayoutRule::Contiguous, form};
}

Status lower_reduce(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const auto range = reduced_range(node, input.type.shape.size(), input.layout);
  if (!range) return error(Code::Internal, "node '", node.name, "': dimensions are not neighbours");
  Shape shape = physical_shape(input);
  if (range->first == shape.size()) shape.push_back(1);
  Shape kept;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i < range->first || i > range->second) kept.push_back(shape[i]);
  }
  const auto emit = [&](program::ReduceKind kind, ValueId result) {
    program::ReduceT op;
    op.kind = kind;
    op.input = builder.read_as(node.inputs[0], shape);
    op.output = builder.write_as(result, kept);
    op.first_axis = range->first;
    op.last_axis = range->second;
    op.correction = static_cast<float>(node.attrs.number("correction", 1.0));
    builder.emit(node, std::move(op));
  };
  const auto is_used = [&](ValueId id) { return !graph.users(id).empty() || graph.is_output(id); };
  const program::ReduceKind kind = kind_of(node.op);
  if (node.outputs.size() == 1) {
    emit(kind, node.outputs[0]);
    return {};
  }
  if (is_used(node.outputs[0])) emit(kind, node.outputs[0]);
  if (is_used(node.outputs[1])) {
    emit(gives_mean_too(node.op)           ? program::ReduceKind_Mean
         : kind == program::ReduceKind_Max ? program::ReduceKind_ArgMax
                                           : program::ReduceKind_ArgMin,
         node.outputs[1]);
  }
  return {};
}

}  // namespace enn

// Mean over dimensions. Attributes: dims (counted from the front, ascending), keepdim.
#include <algorithm>
#include <array>
#include <numeric>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// First and last reduced dimension when, in the given layout, they are neighbours and the remaining
// ones keep their logical order; nullopt otherwise.
std::optional<std::pair<std::uint32_t, std::uint32_t>> reduced_range(const Node& node,
                                                                     std::size_t rank,
                                                                     Layout layout) {
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (layout == Layout::ChannelsLast) order = {0, 2, 3, 1};
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  const auto reduced = [&](std::size_t dim) {
    return std::find(dims.begin(), dims.end(), static_cast<std::int64_t>(dim)) != dims.end();
  };
  std::vector<std::uint32_t> places;
  std::vector<std::size_t> kept;
  for (std::size_t place = 0; place < rank; ++place) {
    if (reduced(order[place])) {
      places.push_back(static_cast<std::uint32_t>(place));
    } else {
      kept.push_back(order[place]);
    }
  }
  if (places.empty() || places.back() - places.front() + 1 != places.size()) return std::nullopt;
  const bool ordered = std::is_sorted(kept.begin(), kept.end());
  if (!ordered && !node.attrs.boolean("keepdim")) return std::nullopt;
  return std::pair{places.front(), places.back()};
}

}  // namespace

Result<NodeId> import_reduce(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
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
  std::sort(dims.begin(), dims.end());
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  attrs.set("keepdim", keepdim);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_reduce(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  Shape out;
  for (std::size_t i = 0; i < input.shape.size(); ++i) {
    const bool reduced =
        std::find(dims.begin(), dims.end(), static_cast<std::int64_t>(i)) != dims.end();
    if (!reduced) out.push_back(input.shape[i]);
    if (reduced && node.attrs.boolean("keepdim")) out.push_back(1);
  }
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

std::optional<std::string> support_reduce(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  if (shape.empty() || numel(shape) == 0) return "its input is empty or a scalar";
  if (!reduced_range(node, shape.size(), Layout::Contiguous) &&
      !(shape.size() == 4 && reduced_range(node, 4, Layout::ChannelsLast))) {
    return str("the reduced dimensions ", list_str(node.attrs.integers("dims")),
               " are not neighbours");
  }
  return std::nullopt;
}

void annotate_reduce(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  annotate_all(graph, node, config, annotations);
}

Traits traits_reduce(const Graph& graph, const Node& node) {
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  if (rank == 4 && reduced_range(node, rank, Layout::ChannelsLast)) {
    const bool either = reduced_range(node, rank, Layout::Contiguous).has_value();
    return {either ? LayoutRule::Same : LayoutRule::ChannelsLast, QuantizedForm::Computes};
  }
  return {LayoutRule::Contiguous, QuantizedForm::Computes};
}

Status lower_reduce(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const auto range = reduced_range(node, input.type.shape.size(), input.layout);
  if (!range) return error(Code::Internal, "node '", node.name, "': dimensions are not neighbours");
  const Shape shape = physical_shape(input);
  Shape kept;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i < range->first || i > range->second) kept.push_back(shape[i]);
  }
  program::ReduceT op;
  op.kind = program::ReduceKind_Mean;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write_as(node.outputs[0], kept);
  op.first_axis = range->first;
  op.last_axis = range->second;
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

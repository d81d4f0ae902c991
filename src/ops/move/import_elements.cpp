// Operators whose result walks the elements of their operand, in the order in which they lie:
// Elements, with attributes shape (of the result), walk (the same elements under another shape),
// and per dimension of walk how many elements a step skips: strides, from offset.
#include <algorithm>

#include "ops/common.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

struct ElementWalk {
  List shape;
  List strides;
  std::int64_t offset = 0;

  void push(std::int64_t size, std::int64_t stride) {
    shape.push_back(size);
    strides.push_back(stride);
  }
};

List dense_strides(const Shape& shape) {
  List strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Result<NodeId> add_elements(Graph& graph, const Call& call, Op op, ValueId input,
                            ElementWalk walk) {
  Attributes attrs;
  attrs.set("shape", call.results.front().shape);
  attrs.set("walk", std::move(walk.shape));
  attrs.set("strides", std::move(walk.strides));
  attrs.set("offset", walk.offset);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

// A dimension counted from the front; an error for a scalar, which has none.
Result<std::size_t> dim_of(const Call& call, std::string_view name, const Shape& shape,
                           std::optional<std::int64_t> otherwise = {}) {
  ENN_ASSIGN(std::int64_t dim, Arguments(call).integer(name, otherwise));
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  if (shape.empty())
    return error(Code::InvalidArgument, "node '", call.name, "' names a dimension of a scalar");
  return static_cast<std::size_t>(dim);
}

}  // namespace

Result<NodeId> import_as_strided(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ElementWalk walk;
  ENN_ASSIGN(walk.shape, args.integers("size"));
  ENN_ASSIGN(walk.strides, args.integers("stride"));
  ENN_ASSIGN(walk.offset, args.integer("storage_offset", 0));
  return add_elements(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_repeat(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(List repeats, args.integers(args.has("dims") ? "dims" : "repeats"));
  Shape shape = graph.value(input).type.shape;
  // Dimensions of extent 1 in front, on either side (tile lists fewer).
  if (repeats.size() < shape.size())
    repeats.insert(repeats.begin(), shape.size() - repeats.size(), 1);
  shape.insert(shape.begin(), repeats.size() - shape.size(), 1);
  const List strides = dense_strides(shape);
  ElementWalk walk;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (repeats[d] != 1) walk.push(repeats[d], 0);
    if (repeats[d] == 1 || shape[d] != 1) walk.push(shape[d], strides[d]);
  }
  return add_elements(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_repeat_interleave(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t repeats, args.integer("repeats"));
  const Shape& from = graph.value(input).type.shape;
  const bool flat = !args.has("dim") || from.empty();
  const Shape shape = flat ? Shape{numel(from)} : from;
  ENN_ASSIGN(const std::size_t dim, dim_of(call, flat ? "" : "dim", shape, 0));
  const List strides = dense_strides(shape);
  ElementWalk walk;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    walk.push(shape[d], strides[d]);
    if (d == dim) walk.push(repeats, 0);
  }
  return add_elements(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_diagonal(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const Shape& shape = graph.value(input).type.shape;
  ENN_ASSIGN(const std::size_t dim1, dim_of(call, "dim1", shape, 0));
  ENN_ASSIGN(const std::size_t dim2, dim_of(call, "dim2", shape, 1));
  ENN_ASSIGN(const std::int64_t offset, args.integer("offset", 0));
  const List strides = dense_strides(shape);
  ElementWalk walk;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d != dim1 && d != dim2) walk.push(shape[d], strides[d]);
  }
  const Shape& result = call.results.front().shape;
  walk.push(result.empty() ? 1 : result.back(), strides[dim1] + strides[dim2]);
  walk.offset = offset >= 0 ? offset * strides[dim2] : -offset * strides[dim1];
  return add_elements(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_unfold(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const Shape& shape = graph.value(input).type.shape;
  ENN_ASSIGN(const std::int64_t size, args.integer("size"));
  ENN_ASSIGN(const std::int64_t step, args.integer("step"));
  ENN_ASSIGN(const std::size_t dim, dim_of(call, "dimension", shape));
  ElementWalk walk{call.results.front().shape, dense_strides(shape)};
  if (walk.shape.size() != shape.size() + 1 || walk.shape.back() != size) {
    return error(Code::InvalidArgument, "node '", call.name, "' unfolds ", list_str(shape), " to ",
                 list_str(walk.shape));
  }
  const std::int64_t stride = walk.strides[dim];
  walk.strides[dim] *= step;
  walk.strides.push_back(stride);
  return add_elements(graph, call, op, input, std::move(walk));
}

}  // namespace enn

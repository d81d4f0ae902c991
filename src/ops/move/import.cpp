// Operators that take elements from places.
// Strided: result dimension d walks the operand's dimension dims[d] (-1: none) in steps of steps[d]
// from starts[dims[d]]; operand dimensions that no result dimension walks stay at their start.
// Attributes dims, shape, steps (one per result dimension), starts (one per operand dimension).
// Split: results lie behind each other along dim; keepdim false when each is one index of it
// (unbind). Pad: pads [before, after] per dimension in order of the dimensions; mode; value. Roll:
// shifts along dims; without dims along the flattened operand.
#include <algorithm>
#include <numeric>

#include "ops/common.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

struct ImportedWalk {
  List dims;
  List shape;
  List starts;
  List steps;
};

// The operand as it is.
ImportedWalk whole(const Shape& shape) {
  ImportedWalk walk{List(shape.size()), shape, List(shape.size(), 0), List(shape.size(), 1)};
  std::iota(walk.dims.begin(), walk.dims.end(), std::int64_t{0});
  return walk;
}

Result<NodeId> add_strided(Graph& graph, const Call& call, Op op, ValueId input,
                           ImportedWalk walk) {
  Attributes attrs;
  attrs.set("dims", std::move(walk.dims));
  attrs.set("shape", std::move(walk.shape));
  attrs.set("starts", std::move(walk.starts));
  attrs.set("steps", std::move(walk.steps));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_slice(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const Shape& shape = graph.value(input).type.shape;
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 0));
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  ENN_ASSIGN(std::int64_t start, args.integer("start", 0));
  ENN_ASSIGN(const std::int64_t step, args.integer("step", 1));
  const auto at = static_cast<std::size_t>(dim);
  if (at >= shape.size())
    return error(Code::InvalidArgument, "node '", call.name, "' slices a scalar");
  if (start < 0) start += shape[at];
  ImportedWalk walk = whole(shape);
  walk.starts[at] = std::clamp<std::int64_t>(start, 0, shape[at]);
  walk.steps[at] = step;
  walk.shape = call.results.front().shape;
  return add_strided(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_narrow(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const Shape& shape = graph.value(input).type.shape;
  ENN_ASSIGN(std::int64_t dim, args.integer("dim"));
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  ENN_ASSIGN(std::int64_t start, args.integer("start"));
  const auto at = static_cast<std::size_t>(dim);
  if (at >= shape.size())
    return error(Code::InvalidArgument, "node '", call.name, "' narrows a scalar");
  ImportedWalk walk = whole(shape);
  walk.starts[at] = start < 0 ? start + shape[at] : start;
  walk.shape = call.results.front().shape;
  return add_strided(graph, call, op, input, std::move(walk));
}

Result<NodeId> import_select(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  const Shape& shape = graph.value(input).type.shape;
  ENN_ASSIGN(std::int64_t dim, args.integer("dim"));
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  ENN_ASSIGN(std::int64_t index, args.integer("index"));
  const auto at = static_cast<std::size_t>(dim);
  if (at >= shape.size())
    return error(Code::InvalidArgument, "node '", call.name, "' selects from a scalar");
  if (index < 0) index += shape[at];
  ImportedWalk walk = whole(shape);
  walk.starts[at] = index;
  for (List* list : {&walk.dims, &walk.shape, &walk.steps}) {
    list->erase(list->begin() + static_cast<std::ptrdiff_t>(at));
  }
  return add_strided(graph, call, op, input, std::move(walk));
}

namespace {

Result<NodeId> add_expand(Graph& graph, const Call& call, Op op, ValueId input) {
  const Shape& from = graph.value(input).type.shape;
  const Shape& to = call.results.front().shape;
  if (to.size() < from.size()) {
    return error(Code::InvalidArgument, "node '", call.name, "' expands ", list_str(from), " to ",
                 list_str(to));
  }
  const std::size_t added = to.size() - from.size();
  ImportedWalk walk{List(to.size(), -1), to, List(from.size(), 0), List(to.size(), 0)};
  for (std::size_t d = 0; d < from.size(); ++d) {
    walk.dims[added + d] = static_cast<std::int64_t>(d);
    walk.steps[added + d] = from[d] == 1 ? 0 : 1;
  }
  return add_strided(graph, call, op, input, std::move(walk));
}

}  // namespace

Result<NodeId> import_expand(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  return add_expand(graph, call, op, input);
}

// The shape and the element type are those of `self`, the elements those of `src`.
Result<NodeId> import_copy(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId source, Arguments(call).tensor("src"));
  if (graph.value(source).type.dtype != call.results.front().dtype)
    return NodeId{add_call(graph, call, Op::Unknown, {source})};
  return add_expand(graph, call, op, source);
}

Result<NodeId> import_roll(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(List shifts, args.integers("shifts"));
  ENN_ASSIGN(List dims, args.integers("dims"));
  for (std::int64_t& dim : dims) {
    ENN_ASSIGN(dim, normalized_dim(dim, graph.value(input).type.shape.size()));
  }
  Attributes attrs;
  attrs.set("shifts", std::move(shifts));
  attrs.set("dims", std::move(dims));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_flip(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const List dims, args.integers("dims"));
  const Shape& shape = graph.value(input).type.shape;
  ImportedWalk walk = whole(shape);
  for (const std::int64_t dim : dims) {
    ENN_ASSIGN(const std::int64_t counted, normalized_dim(dim, shape.size()));
    const auto at = static_cast<std::size_t>(counted);
    if (at >= shape.size()) continue;
    walk.starts[at] = shape[at] - 1;
    walk.steps[at] = -1;
  }
  return add_strided(graph, call, op, input, std::move(walk));
}

namespace {

Result<NodeId> add_split(Graph& graph, const Call& call, Op op, bool keepdim) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 0));
  ENN_ASSIGN(dim, normalized_dim(dim, graph.value(input).type.shape.size()));
  List sizes;
  for (const TensorType& result : call.results) {
    sizes.push_back(keepdim ? result.shape[static_cast<std::size_t>(dim)] : 1);
  }
  Attributes attrs;
  attrs.set("dim", dim);
  attrs.set("keepdim", keepdim);
  attrs.set("sizes", std::move(sizes));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_split(Graph& graph, const Call& call, Op op) {
  return add_split(graph, call, op, true);
}

Result<NodeId> import_unbind(Graph& graph, const Call& call, Op op) {
  return add_split(graph, call, op, false);
}

namespace {

// ATen lists [before, after] from the last dimension backwards.
Result<NodeId> add_pad(Graph& graph, const Call& call, Op op, std::string_view list,
                       std::string mode, double value) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const List listed, args.integers(list));
  const std::size_t rank = graph.value(input).type.shape.size();
  if (listed.size() % 2 != 0 || listed.size() > 2 * rank) {
    return error(Code::InvalidArgument, "node '", call.name, "': pad ", list_str(listed),
                 " does not fit rank ", rank);
  }
  List pads(2 * rank, 0);
  for (std::size_t i = 0; i < listed.size() / 2; ++i) {
    pads[2 * (rank - 1 - i)] = listed[2 * i];
    pads[2 * (rank - 1 - i) + 1] = listed[2 * i + 1];
  }
  Attributes attrs;
  attrs.set("mode", std::move(mode));
  attrs.set("pads", std::move(pads));
  attrs.set("value", value);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_pad(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const double value, args.number("value", 0.0));
  ENN_ASSIGN(std::string mode, args.text("mode", "constant"));
  return add_pad(graph, call, op, "pad", std::move(mode), value);
}

Result<NodeId> import_reflection_pad(Graph& graph, const Call& call, Op op) {
  return add_pad(graph, call, op, "padding", "reflect", 0.0);
}

Result<NodeId> import_replication_pad(Graph& graph, const Call& call, Op op) {
  return add_pad(graph, call, op, "padding", "replicate", 0.0);
}

}  // namespace enn

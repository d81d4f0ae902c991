// Operators that read or write where index tensors say. Both describe a walk p over `shape`: walk
// dimension d goes along dimension walks[d] of the indexed operand (-1: none), and index tensor k,
// whose first dimension is walk dimension at[k], gives the place along dimension dims[k].
// Index: operands indexed, indices…; attributes walks, dims, at, shape (of the result).
// Scatter: operands indexed, source (absent when attribute value stands for it), indices…;
// attributes as Index, shape being that of the walk, and starts (per dimension of the indexed
// operand), steps (per walk dimension), accumulate, mask (an index tensor selects by truth).
#include <algorithm>
#include <numeric>

#include "ops/common.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

struct IndexWalk {
  List walks;
  List dims;
  List at;
  Shape shape;

  void set(Attributes& attrs) const {
    attrs.set("walks", walks);
    attrs.set("dims", dims);
    attrs.set("at", at);
    attrs.set("shape", shape);
  }
};

bool is_mask(const Graph& graph, ValueId id) {
  const DType dtype = graph.value(id).type.dtype;
  return dtype == DType::Bool || dtype == DType::UInt8;
}

// NumPy's advanced indexing by `indices`, kNone standing for a whole dimension: the index
// dimensions take the place of the indexed ones where these are neighbours, else they come first.
Result<IndexWalk> advanced(const Graph& graph, const Shape& shape,
                           const std::vector<ValueId>& indices) {
  IndexWalk walk;
  Shape common;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (indices[d] == kNone) continue;
    walk.dims.push_back(static_cast<std::int64_t>(d));
    ENN_ASSIGN(common, broadcast(common, graph.value(indices[d]).type.shape));
  }
  if (walk.dims.empty() || indices.size() > shape.size())
    return error(Code::InvalidArgument, indices.size(), " indices for ", list_str(shape));
  const bool neighbours =
      walk.dims.back() - walk.dims.front() + 1 == static_cast<std::int64_t>(walk.dims.size());
  const std::int64_t place = neighbours ? walk.dims.front() : 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto dim = static_cast<std::int64_t>(d);
    if (std::find(walk.dims.begin(), walk.dims.end(), dim) != walk.dims.end()) continue;
    walk.walks.push_back(dim);
    walk.shape.push_back(shape[d]);
  }
  walk.walks.insert(walk.walks.begin() + place, common.size(), -1);
  walk.shape.insert(walk.shape.begin() + place, common.begin(), common.end());
  for (const ValueId id : indices) {
    if (id == kNone) continue;
    const std::size_t rank = graph.value(id).type.shape.size();
    walk.at.push_back(place + static_cast<std::int64_t>(common.size() - rank));
  }
  return IndexWalk(std::move(walk));
}

// Every dimension of `shape` as it is but `dim`, which an index gives.
IndexWalk along(std::int64_t dim, Shape shape) {
  IndexWalk walk{List(shape.size()), {dim}, {0}, std::move(shape)};
  std::iota(walk.walks.begin(), walk.walks.end(), std::int64_t{0});
  if (!walk.walks.empty()) walk.walks[static_cast<std::size_t>(dim)] = -1;
  return walk;
}

NodeId add_unknown(Graph& graph, const Call& call, std::vector<ValueId> inputs) {
  return add_call(graph, call, Op::Unknown, std::move(inputs));
}

struct Along {
  ValueId self = kNone;
  ValueId index = kNone;
  std::int64_t dim = 0;
};

Result<Along> read_along(const Graph& graph, const Call& call) {
  const Arguments args(call);
  Along out;
  ENN_ASSIGN(out.self, args.tensor("self"));
  ENN_ASSIGN(out.index, args.tensor("index"));
  ENN_ASSIGN(out.dim, args.integer("dim"));
  ENN_ASSIGN(out.dim, normalized_dim(out.dim, graph.value(out.self).type.shape.size()));
  return Along(out);
}

struct Written {
  ValueId source = kNone;
  double value = 0.0;  // where there is no source
  bool accumulate = false;
};

NodeId add_scatter(Graph& graph, const Call& call, Op op, ValueId self, const IndexWalk& walk,
                   const std::vector<ValueId>& indices, const Written& written) {
  Attributes attrs;
  walk.set(attrs);
  attrs.set("starts", List(graph.value(self).type.shape.size(), 0));
  attrs.set("steps", List(walk.shape.size(), 1));
  attrs.set("accumulate", written.accumulate);
  if (written.source == kNone) attrs.set("value", written.value);
  std::vector<ValueId> inputs{self, written.source};
  inputs.insert(inputs.end(), indices.begin(), indices.end());
  return add_call(graph, call, op, std::move(inputs), std::move(attrs));
}

// scatter.src, .value and _add walk the index tensor.
Result<NodeId> scatter_along(Graph& graph, const Call& call, Op op, bool has_source,
                             bool accumulate) {
  const Arguments args(call);
  ENN_ASSIGN(const Along read, read_along(graph, call));
  Written written{.accumulate = accumulate};
  if (has_source) {
    ENN_ASSIGN(written.source, args.tensor("src"));
  } else {
    ENN_ASSIGN(written.value, args.number("value"));
  }
  if (graph.value(read.self).type.shape.empty())
    return NodeId{add_unknown(graph, call, {read.self, read.index})};
  const IndexWalk walk = along(read.dim, graph.value(read.index).type.shape);
  return NodeId{add_scatter(graph, call, op, read.self, walk, {read.index}, written)};
}

// index_copy, _add and _fill: a list of indices along a dimension.
Result<NodeId> scatter_list(Graph& graph, const Call& call, Op op, const Written& written) {
  ENN_ASSIGN(const Along read, read_along(graph, call));
  Shape shape = graph.value(read.self).type.shape;
  const Shape& list = graph.value(read.index).type.shape;
  if (shape.empty() || list.size() != 1)
    return NodeId{add_unknown(graph, call, {read.self, read.index})};
  shape[static_cast<std::size_t>(read.dim)] = list[0];
  IndexWalk walk = along(read.dim, std::move(shape));
  walk.at = {read.dim};
  return NodeId{add_scatter(graph, call, op, read.self, walk, {read.index}, written)};
}

}  // namespace

Result<NodeId> import_index(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const std::vector<ValueId> indices, args.tensors("indices"));
  std::vector<ValueId> inputs{self};
  for (const ValueId id : indices) {
    if (id != kNone) inputs.push_back(id);
  }
  const bool masked =
      std::any_of(inputs.begin() + 1, inputs.end(), [&](ValueId id) { return is_mask(graph, id); });
  if (masked) return NodeId{add_unknown(graph, call, std::move(inputs))};
  ENN_ASSIGN(const IndexWalk walk, advanced(graph, graph.value(self).type.shape, indices));
  Attributes attrs;
  walk.set(attrs);
  return NodeId{add_call(graph, call, op, std::move(inputs), std::move(attrs))};
}

Result<NodeId> import_embedding(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId weight, args.tensor("weight"));
  ENN_ASSIGN(const ValueId indices, args.tensor("indices"));
  IndexWalk walk;
  walk.shape = graph.value(indices).type.shape;
  walk.walks.assign(walk.shape.size(), -1);
  walk.walks.push_back(1);
  walk.shape.push_back(graph.value(weight).type.shape.back());
  walk.dims = {0};
  walk.at = {0};
  Attributes attrs;
  walk.set(attrs);
  return NodeId{add_call(graph, call, op, {weight, indices}, std::move(attrs))};
}

Result<NodeId> import_index_select(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const Along read, read_along(graph, call));
  Shape shape = graph.value(read.self).type.shape;
  if (shape.empty()) return NodeId{add_unknown(graph, call, {read.self, read.index})};
  shape[static_cast<std::size_t>(read.dim)] = numel(graph.value(read.index).type.shape);
  IndexWalk walk = along(read.dim, std::move(shape));
  walk.at = {read.dim};
  Attributes attrs;
  walk.set(attrs);
  return NodeId{add_call(graph, call, op, {read.self, read.index}, std::move(attrs))};
}

Result<NodeId> import_gather(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const Along read, read_along(graph, call));
  if (graph.value(read.self).type.shape.empty())
    return NodeId{add_unknown(graph, call, {read.self, read.index})};
  Attributes attrs;
  along(read.dim, graph.value(read.index).type.shape).set(attrs);
  return NodeId{add_call(graph, call, op, {read.self, read.index}, std::move(attrs))};
}

Result<NodeId> import_index_put(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const std::vector<ValueId> indices, args.tensors("indices"));
  Written written;
  ENN_ASSIGN(written.source, args.tensor("values"));
  ENN_ASSIGN(written.accumulate, args.boolean("accumulate", false));
  std::vector<ValueId> given;
  std::copy_if(indices.begin(), indices.end(), std::back_inserter(given),
               [](ValueId id) { return id != kNone; });
  const bool masked =
      std::any_of(given.begin(), given.end(), [&](ValueId id) { return is_mask(graph, id); });
  if (masked) {
    const NodeId node = add_scatter(graph, call, op, self, {}, given, written);
    graph.node(node).attrs.set("mask", true);
    return NodeId{node};
  }
  ENN_ASSIGN(const IndexWalk walk, advanced(graph, graph.value(self).type.shape, indices));
  return NodeId{add_scatter(graph, call, op, self, walk, given, written)};
}

Result<NodeId> import_scatter_src(Graph& graph, const Call& call, Op op) {
  return scatter_along(graph, call, op, true, false);
}

Result<NodeId> import_scatter_value(Graph& graph, const Call& call, Op op) {
  return scatter_along(graph, call, op, false, false);
}

Result<NodeId> import_scatter_add(Graph& graph, const Call& call, Op op) {
  return scatter_along(graph, call, op, true, true);
}

Result<NodeId> import_index_copy(Graph& graph, const Call& call, Op op) {
  Written written;
  ENN_ASSIGN(written.source, Arguments(call).tensor("source"));
  return scatter_list(graph, call, op, written);
}

Result<NodeId> import_index_add(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  Written written{.accumulate = true};
  ENN_ASSIGN(written.source, args.tensor("source"));
  ENN_ASSIGN(const double alpha, args.number("alpha", 1.0));
  if (alpha != 1.0) {
    ENN_ASSIGN(const Along read, read_along(graph, call));
    return NodeId{add_unknown(graph, call, {read.self, read.index, written.source})};
  }
  return scatter_list(graph, call, op, written);
}

Result<NodeId> import_index_fill(Graph& graph, const Call& call, Op op) {
  Written written;
  ENN_ASSIGN(written.value, Arguments(call).number("value"));
  return scatter_list(graph, call, op, written);
}

namespace {

// One index of a dimension, or a range of it: the walk is over the source.
Result<NodeId> scatter_part(Graph& graph, const Call& call, Op op, bool keeps_dim,
                            std::string_view start_name) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId self, args.tensor("self"));
  ENN_ASSIGN(const ValueId source, args.tensor("src"));
  const Shape& shape = graph.value(self).type.shape;
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 0));
  ENN_ASSIGN(dim, normalized_dim(dim, shape.size()));
  ENN_ASSIGN(std::int64_t start, args.integer(start_name, 0));
  ENN_ASSIGN(const std::int64_t step, args.integer("step", 1));
  if (shape.empty()) return NodeId{add_unknown(graph, call, {self, source})};
  const auto at = static_cast<std::size_t>(dim);
  if (start < 0) start += shape[at];
  IndexWalk walk;
  walk.shape = graph.value(source).type.shape;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (keeps_dim || d != at) walk.walks.push_back(static_cast<std::int64_t>(d));
  }
  if (walk.shape.size() != walk.walks.size())
    return NodeId{add_unknown(graph, call, {self, source})};
  List starts(shape.size(), 0);
  starts[at] = std::clamp<std::int64_t>(start, 0, shape[at]);
  List steps(walk.shape.size(), 1);
  if (keeps_dim) steps[at] = step;
  const NodeId node = add_scatter(graph, call, op, self, walk, {}, {.source = source});
  graph.node(node).attrs.set("starts", std::move(starts));
  graph.node(node).attrs.set("steps", std::move(steps));
  return NodeId{node};
}

}  // namespace

Result<NodeId> import_select_scatter(Graph& graph, const Call& call, Op op) {
  return scatter_part(graph, call, op, false, "index");
}

Result<NodeId> import_slice_scatter(Graph& graph, const Call& call, Op op) {
  return scatter_part(graph, call, op, true, "start");
}

}  // namespace enn

// Operators that move elements. Reshape: attribute shape. Permute: dims. Concat: dim; any number of
// operands. Stack: dim, a new dimension of the result. Identity: none.
#include <numeric>

#include "ops/common.hpp"

namespace enn {

Result<NodeId> import_reshape(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input,
             Arguments(call).tensor(Arguments(call).has("self") ? "self" : "input"));
  Attributes attrs;
  attrs.set("shape", call.results.front().shape);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_permute(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(auto dims, args.integers("dims"));
  for (std::int64_t& dim : dims) {
    ENN_ASSIGN(dim, normalized_dim(dim, graph.value(input).type.shape.size()));
  }
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

namespace {

Result<NodeId> add_transpose(Graph& graph, const Call& call, Op op, std::int64_t dim0,
                             std::int64_t dim1) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  const std::size_t rank = graph.value(input).type.shape.size();
  std::vector<std::int64_t> dims(rank);
  std::iota(dims.begin(), dims.end(), std::int64_t{0});
  if (rank >= 2) {
    ENN_ASSIGN(const std::int64_t first, normalized_dim(dim0, rank));
    ENN_ASSIGN(const std::int64_t second, normalized_dim(dim1, rank));
    std::swap(dims[static_cast<std::size_t>(first)], dims[static_cast<std::size_t>(second)]);
  }
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_transpose(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  const bool axes = args.has("axis0");  // swapaxes
  ENN_ASSIGN(const std::int64_t dim0, args.integer(axes ? "axis0" : "dim0"));
  ENN_ASSIGN(const std::int64_t dim1, args.integer(axes ? "axis1" : "dim1"));
  return add_transpose(graph, call, op, dim0, dim1);
}

Result<NodeId> import_t(Graph& graph, const Call& call, Op op) {
  return add_transpose(graph, call, op, 0, 1);
}

Result<NodeId> import_matrix_t(Graph& graph, const Call& call, Op op) {
  return add_transpose(graph, call, op, -2, -1);
}

Result<NodeId> import_numpy_t(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const ValueId input, Arguments(call).tensor("self"));
  std::vector<std::int64_t> dims(graph.value(input).type.shape.size());
  std::iota(dims.rbegin(), dims.rend(), std::int64_t{0});
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

// The dimensions `source` move to the places `destination`; the others keep their order.
Result<NodeId> import_movedim(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const auto from, args.integers("source"));
  ENN_ASSIGN(const auto to, args.integers("destination"));
  const std::size_t rank = graph.value(input).type.shape.size();
  if (from.size() != to.size()) {
    return error(Code::InvalidArgument, "node '", call.name, "' moves dimensions ", list_str(from),
                 " to ", list_str(to));
  }
  std::vector<std::int64_t> dims(rank, -1);
  std::vector<bool> moved(rank, false);
  for (std::size_t i = 0; i < from.size() && rank > 0; ++i) {
    ENN_ASSIGN(const std::int64_t source, normalized_dim(from[i], rank));
    ENN_ASSIGN(const std::int64_t destination, normalized_dim(to[i], rank));
    dims[static_cast<std::size_t>(destination)] = source;
    moved[static_cast<std::size_t>(source)] = true;
  }
  std::size_t next = 0;
  for (std::int64_t& dim : dims) {
    if (dim >= 0) continue;
    while (next < rank && moved[next]) ++next;
    dim = static_cast<std::int64_t>(next++);
  }
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_concat(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(auto tensors, args.tensors("tensors"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 0));
  ENN_ASSIGN(dim, normalized_dim(dim, call.results.front().shape.size()));
  Attributes attrs;
  attrs.set("dim", dim);
  return NodeId{add_call(graph, call, op, std::move(tensors), std::move(attrs))};
}

Result<NodeId> import_stack(Graph& graph, const Call& call, Op op) {
  return import_concat(graph, call, op);
}

Result<NodeId> import_identity(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor(args.has("self") ? "self" : "input"));
  ENN_ASSIGN(const bool train, args.boolean("train", false));
  Attributes attrs;
  if (train) attrs.set("train", true);
  // A dtype conversion is declared by the result.
  attrs.set("dtype", std::string(to_string(call.results.front().dtype)));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

}  // namespace enn

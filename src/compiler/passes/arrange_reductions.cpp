#include <algorithm>
#include <numeric>
#include <utility>

#include "compiler/passes/passes.hpp"
#include "ops/ops.hpp"
#include "ops/reduce/reduce.hpp"

namespace enn {
namespace {

bool is_arranged(const Graph& graph, const Node& node) {
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  return reduced_range(node, rank, Layout::Contiguous) ||
         (rank == 4 && reduced_range(node, rank, Layout::ChannelsLast));
}

// The operand with its reduced dimensions behind the others.
ValueId arranged_operand(Graph& graph, NodeId id, std::size_t reduced) {
  const Node node = graph.node(id);
  const TensorType type = graph.value(node.inputs[0]).type;
  std::vector<std::int64_t> order(type.shape.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  std::ranges::sort(order, {}, [&](std::int64_t dim) {
    return std::pair(std::ranges::find(dims, dim) != dims.end(), dim);
  });
  TensorType arranged{type.dtype, {}};
  for (const std::int64_t dim : order) {
    arranged.shape.push_back(type.shape[static_cast<std::size_t>(dim)]);
  }
  Attributes attrs;
  attrs.set("dims", order);
  const NodeId permute = graph.insert_node(id, Op::Permute, node.name + ".arranged",
                                           {node.inputs[0]}, {arranged}, std::move(attrs));
  std::vector<std::int64_t> last(reduced);
  std::iota(last.begin(), last.end(), static_cast<std::int64_t>(order.size() - reduced));
  graph.node(id).attrs.set("dims", std::move(last));
  return graph.node(permute).outputs[0];
}

}  // namespace

Status arrange_reductions(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (family(node.op) != "reduce" || is_arranged(graph, node)) continue;
    const std::vector<std::int64_t> dims = node.attrs.integers("dims");
    const ValueId input = arranged_operand(graph, id, dims.size());
    if (!node.attrs.boolean("keepdim")) {
      graph.node(id).inputs = {input};
      continue;
    }
    // Reduced without the dimensions of extent 1, which a view puts back.
    const TensorType kept = graph.value(node.outputs[0]).type;
    TensorType type{kept.dtype, {}};
    for (std::size_t d = 0; d < kept.shape.size(); ++d) {
      if (std::find(dims.begin(), dims.end(), static_cast<std::int64_t>(d)) == dims.end()) {
        type.shape.push_back(kept.shape[d]);
      }
    }
    Attributes attrs = graph.node(id).attrs;
    attrs.set("keepdim", false);
    const NodeId reduced =
        graph.insert_node(id, node.op, node.name + ".reduced", {input}, {type}, std::move(attrs));
    graph.node(reduced).origin = node.origin;
    Node& view = graph.node(id);
    view.op = Op::Reshape;
    view.attrs = {};
    view.attrs.set("shape", kept.shape);
    view.inputs = {graph.node(reduced).outputs[0]};
  }
  return {};
}

}  // namespace enn

#include "compiler/passes/passes.hpp"

namespace enn {
namespace {

// The node that swaps the last two dimensions and nothing else to give `id`, or nullptr.
const Node* transposing_producer(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  if (node == nullptr || node->op != Op::Permute) return nullptr;
  const std::vector<std::int64_t> dims = node->attrs.integers("dims");
  const auto rank = static_cast<std::int64_t>(dims.size());
  if (rank < 2) return nullptr;
  for (std::int64_t d = 0; d < rank; ++d) {
    const std::int64_t wanted = d < rank - 2 ? d : 2 * rank - 3 - d;
    if (dims[static_cast<std::size_t>(d)] != wanted) return nullptr;
  }
  return node;
}

}  // namespace

Status fold_transposes(Graph& graph) {
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != Op::MatMul) continue;
    while (const Node* transpose = transposing_producer(graph, graph.node(id).inputs[1])) {
      Node& node = graph.node(id);
      node.attrs.set("transpose_b", !node.attrs.boolean("transpose_b"));
      node.inputs[1] = transpose->inputs[0];
    }
  }
  graph.erase_unused();
  return {};
}

}  // namespace enn

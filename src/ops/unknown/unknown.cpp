// Operators outside ops.def: they keep the graph connected and are left to others.
#include "ops/common.hpp"

namespace enn {

Result<std::vector<TensorType>> infer_unknown(const Graph& graph, const Node& node) {
  std::vector<TensorType> types;
  for (const ValueId id : node.outputs) types.push_back(graph.value(id).type);
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_unknown(const Graph&, const Node& node) {
  return str("the operator ", node.target, " is not among those of the engine");
}

void annotate_unknown(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_unknown(const Graph&, const Node&) {
  return {LayoutRule::Contiguous, QuantizedForm::None};
}

Status lower_unknown(const Graph&, const Node& node, ProgramBuilder&) {
  return error(Code::Unsupported, "node '", node.name, "': the operator ", node.target,
               " is not among those of the engine");
}

}  // namespace enn

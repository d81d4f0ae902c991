#include "ops/common.hpp"
#include "ops/fusion.hpp"

namespace enn {

std::optional<std::string> support_layout(const Graph& graph, const Node& node) {
  if (node.attrs.boolean("train")) return "dropout in training mode is random";
  const Value& output = graph.value(node.outputs[0]);
  for (const ValueId id : node.inputs) {
    if (graph.value(id).type.dtype != output.type.dtype) {
      return str("conversion from ", to_string(graph.value(id).type.dtype), " to ",
                 to_string(output.type.dtype), " is not taken");
    }
  }
  if (numel(output.type.shape) == 0) return "its result is empty";
  return move_reason(graph, node);
}

Traits traits_layout(const Graph&, const Node& node) {
  switch (node.op) {
    case Op::Permute:
      return {LayoutRule::Free, QuantizedForm::Moves};
    case Op::Reshape:
    case Op::Stack:
      return {LayoutRule::Contiguous, QuantizedForm::Moves};
    default:
      return {LayoutRule::Same, QuantizedForm::Moves};
  }
}

void annotate_layout(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  // Identity (dropout, clone) is transparent: its neighbours quantize the value it passes on.
  if (graph.node(node).op == Op::Identity) return;
  if (!config.is_qat && is_scaled_by_reader(graph, node))
    return annotate_operands(graph, node, config, annotations);
  annotate_shared(graph, node, config, annotations);
}

}  // namespace enn

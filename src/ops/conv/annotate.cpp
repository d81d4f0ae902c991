#include "ops/common.hpp"
#include "ops/conv/conv.hpp"

namespace enn {

// Input and weight are quantized, the bias stays float; the result is quantized behind the
// activation that is fused with it.
void annotate_conv(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  const Node& n = graph.node(node);
  if (!is_float_value(graph, n.inputs[0]) || !is_float_value(graph, n.inputs[1])) return;
  // What no program takes stays in float: outside the delegate it gains nothing from 8 bits, and
  // ExecuTorch has no kernel that quantizes an activation per channel.
  if (weight_reason(graph, n)) return;
  Annotation annotation;
  annotation.inputs.emplace_back(n.inputs[0], config.activation);
  QuantizationSpec weight = config.weight;
  // The result's channels are the second dimension of a transposed convolution's weight.
  if (weight.ch_axis >= 0 && n.attrs.boolean("transposed")) weight.ch_axis = 1;
  annotation.inputs.emplace_back(n.inputs[1], weight);
  annotate_output(graph, node, std::move(annotation), config, annotations);
}

void annotate_linear(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  annotate_conv(graph, node, config, annotations);
}

}  // namespace enn

#include "search/macs.hpp"

namespace enn {
namespace {

std::uint64_t elements(const Graph& graph, ValueId id) {
  return static_cast<std::uint64_t>(numel(graph.value(id).type.shape));
}

bool is_quantized(const Graph& graph, ValueId id) {
  const NodeId producer = graph.value(id).producer;
  return producer != kNone && graph.node(producer).op == Op::Dequantize;
}

}  // namespace

std::uint64_t macs_of(const Graph& graph, const Node& node) {
  const auto size = [&](std::size_t input, std::size_t axis_from_end) {
    const Shape& shape = graph.value(node.inputs[input]).type.shape;
    return static_cast<std::uint64_t>(shape[shape.size() - axis_from_end]);
  };
  switch (node.op) {
    case Op::Convolution: {
      const Shape& weight = graph.value(node.inputs[1]).type.shape;
      const std::uint64_t per_element =
          elements(graph, node.inputs[1]) / static_cast<std::uint64_t>(weight.front());
      const bool transposed = node.attrs.boolean("transposed");
      return elements(graph, transposed ? node.inputs[0] : node.outputs[0]) * per_element;
    }
    case Op::Linear:
    case Op::MatMul:
      return elements(graph, node.outputs[0]) * size(0, 1);
    default:
      return 0;
  }
}

MacCount count_macs(const Graph& quantized) {
  MacCount count;
  for (const NodeId id : quantized.order()) {
    const Node& node = quantized.node(id);
    const std::uint64_t macs = macs_of(quantized, node);
    if (macs == 0) continue;
    count.all += macs;
    if (!is_quantized(quantized, node.inputs[0]) || !is_quantized(quantized, node.inputs[1]))
      count.in_float += macs;
  }
  return count;
}

}  // namespace enn

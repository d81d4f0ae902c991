#include "compiler/passes/passes.hpp"

namespace enn {
namespace {

// [N, C, W] -> [N, C, 1, W], [K, C, R] -> [K, C, 1, R].
Shape widened(Shape shape) {
  shape.insert(shape.end() - 1, 1);
  return shape;
}

// A constant weight, or the dequantize of one, under its widened shape.
Result<ValueId> widened_weight(Graph& graph, NodeId before, ValueId id) {
  const Value weight = graph.value(id);
  const Node* producer = graph.producer(id);
  const bool dequantized = producer != nullptr && producer->op == Op::Dequantize &&
                           graph.value(producer->inputs[0]).is_constant();
  if (!weight.is_constant() && !dequantized) {
    return error(Code::Unsupported, "node '", graph.node(before).name, "': its weight '",
                 weight.name, "' is computed at run time");
  }
  const Value constant = dequantized ? graph.value(producer->inputs[0]) : weight;
  const std::string suffix = str(".wide", graph.value_count());
  const ValueId wide = graph.add_constant(
      constant.name + suffix, {constant.type.dtype, widened(constant.type.shape)}, constant.data);
  if (!dequantized) return ValueId{wide};
  std::vector<ValueId> inputs = producer->inputs;
  inputs[0] = wide;
  const Attributes attrs =
      producer->attrs;  // the quantized axis is the first: it stays where it is
  const NodeId node =
      graph.insert_node(before, Op::Dequantize, weight.name + suffix, std::move(inputs),
                        {{weight.type.dtype, widened(weight.type.shape)}}, attrs);
  return ValueId{graph.node(node).outputs[0]};
}

ValueId reshaped(Graph& graph, NodeId before, ValueId id, Shape shape, std::string name) {
  Attributes attrs;
  attrs.set("shape", shape);
  const TensorType type{graph.value(id).type.dtype, std::move(shape)};
  const NodeId node =
      graph.insert_node(before, Op::Reshape, std::move(name), {id}, {type}, std::move(attrs));
  return graph.node(node).outputs[0];
}

}  // namespace

Status widen_conv1d(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if (node.op != Op::Convolution || graph.value(node.inputs[1]).type.shape.size() != 3) continue;
    const Value output = graph.value(node.outputs[0]);
    ENN_ASSIGN(const ValueId weight, widened_weight(graph, id, node.inputs[1]));
    const ValueId input =
        reshaped(graph, id, node.inputs[0], widened(graph.value(node.inputs[0]).type.shape),
                 node.name + ".wide_input");
    Attributes attrs = node.attrs;
    for (const char* name : {"stride", "dilation"}) {
      attrs.set(name, std::vector<std::int64_t>{1, node.attrs.integers(name)[0]});
    }
    const std::vector<std::int64_t> pads = node.attrs.integers("pads");
    attrs.set("pads", std::vector<std::int64_t>{0, pads[0], 0, pads[1]});
    const NodeId wide =
        graph.insert_node(id, Op::Convolution, node.name + ".wide", {input, weight, node.inputs[2]},
                          {{output.type.dtype, widened(output.type.shape)}}, std::move(attrs));
    graph.node(wide).source = node.source;
    const ValueId result =
        reshaped(graph, id, graph.node(wide).outputs[0], output.type.shape, node.name + ".narrow");
    graph.replace_uses(node.outputs[0], result);
    graph.erase_node(id);
  }
  return {};
}

}  // namespace enn

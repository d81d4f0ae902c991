#include "compiler/passes/passes.hpp"

namespace enn {
namespace {

// [..., W] -> [..., 1, W].
Shape with_height(Shape shape) {
  shape.insert(shape.end() - 1, 1);
  return shape;
}

// How many dimensions of an image operator's result are the image's; 0 for another operator.
std::size_t spatial_dimensions(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::Convolution:
      return graph.value(node.inputs[1]).type.shape.size() - 2;
    case Op::MaxPool2d:
    case Op::AvgPool2d:
    case Op::Resample:
      return static_cast<std::size_t>(node.attrs.integer("spatial", 2));
    default:
      return 0;
  }
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
  const ValueId wide =
      graph.add_constant(constant.name + suffix,
                         {constant.type.dtype, with_height(constant.type.shape)}, constant.data);
  if (!dequantized) return ValueId{wide};
  std::vector<ValueId> inputs = producer->inputs;
  inputs[0] = wide;
  const Attributes attrs =
      producer->attrs;  // the quantized axis is one of the first two: it stays where it is
  const NodeId node =
      graph.insert_node(before, Op::Dequantize, weight.name + suffix, std::move(inputs),
                        {{weight.type.dtype, with_height(weight.type.shape)}}, attrs);
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

// The attributes of a one-dimensional convolution for an image of one row.
Attributes widened(Attributes attrs) {
  for (const char* name : {"stride", "dilation"}) {
    attrs.set(name, std::vector<std::int64_t>{1, attrs.integers(name)[0]});
  }
  const std::vector<std::int64_t> pads = attrs.integers("pads");
  attrs.set("pads", std::vector<std::int64_t>{0, pads[0], 0, pads[1]});
  if (attrs.has("output_padding")) {
    attrs.set("output_padding", std::vector<std::int64_t>{0, attrs.integers("output_padding")[0]});
  }
  return attrs;
}

Status widen(Graph& graph, NodeId id, std::size_t spatial) {
  const Node node = graph.node(id);
  const Value output = graph.value(node.outputs[0]);
  const bool batched = output.type.shape.size() == spatial + 2;
  const auto wide_shape = [&](Shape shape) {
    if (spatial == 1) shape = with_height(std::move(shape));
    if (!batched) shape.insert(shape.begin(), 1);
    return shape;
  };
  std::vector<ValueId> inputs = node.inputs;
  Attributes attrs = node.attrs;
  attrs.erase("spatial");
  if (node.op == Op::Convolution && spatial == 1) {
    ENN_ASSIGN(inputs[1], widened_weight(graph, id, inputs[1]));
    attrs = widened(std::move(attrs));
  }
  inputs[0] = reshaped(graph, id, inputs[0], wide_shape(graph.value(inputs[0]).type.shape),
                       node.name + ".wide_input");
  const NodeId wide =
      graph.insert_node(id, node.op, node.name + ".wide", std::move(inputs),
                        {{output.type.dtype, wide_shape(output.type.shape)}}, std::move(attrs));
  graph.node(wide).origin = node.origin;
  const ValueId result =
      reshaped(graph, id, graph.node(wide).outputs[0], output.type.shape, node.name + ".narrow");
  graph.replace_uses(node.outputs[0], result);
  graph.erase_node(id);
  return {};
}

}  // namespace

Status widen_images(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const std::size_t spatial = spatial_dimensions(graph, graph.node(id));
    if (spatial == 0) continue;
    if (graph.node(id).op == Op::MaxPool2d) graph.node(id).outputs.resize(1);
    const std::size_t rank = graph.value(graph.node(id).outputs[0]).type.shape.size();
    if (rank != 4 || spatial != 2) ENN_TRY(widen(graph, id, spatial));
  }
  return {};
}

}  // namespace enn

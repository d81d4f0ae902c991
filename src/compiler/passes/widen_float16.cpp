#include <cstring>

#include "base/float16.hpp"
#include "compiler/passes/passes.hpp"
#include "ops/common.hpp"

namespace enn {
namespace {

constexpr std::string_view kHalf = "float16";

Attributes converts_to(DType dtype) {
  Attributes attrs;
  attrs.set("dtype", std::string(to_string(dtype)));
  return attrs;
}

void widen_constant(Value& value) {
  std::vector<float> values(value.data->size() / sizeof(std::uint16_t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, value.data->data() + i * sizeof(half), sizeof(half));
    values[i] = float_of_half(half);
  }
  const auto bytes = std::as_bytes(std::span(values));
  value.data = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

}  // namespace

Status widen_float16(Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  std::vector<ValueId> halves;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).type.dtype == DType::Float16) halves.push_back(id);
  }
  if (halves.empty()) return {};

  // What crosses the border stays float16 there.
  std::vector<ValueId> outputs = graph.outputs();
  for (ValueId& output : outputs) {
    const Value value = graph.value(output);
    if (value.type.dtype != DType::Float16) continue;
    const NodeId narrowed = graph.add_node(Op::Convert, value.name + ".narrowed", {output},
                                           {value.type}, converts_to(DType::Float16));
    output = graph.node(narrowed).outputs[0];
  }
  graph.set_outputs(std::move(outputs));
  std::vector<bool> is_input(graph.value_count(), false);
  const std::vector<NodeId> now = graph.order();
  const NodeId first = now.empty() ? kNone : now.front();
  for (const ValueId input : graph.inputs()) {
    is_input[input] = true;
    const Value value = graph.value(input);
    if (value.type.dtype != DType::Float16) continue;
    const NodeId widened =
        graph.insert_node(first, Op::Convert, value.name + ".widened", {},
                          {{DType::Float32, value.type.shape}}, converts_to(DType::Float32));
    graph.replace_uses(input, graph.node(widened).outputs[0]);
    graph.node(widened).inputs = {input};
  }
  for (const ValueId id : halves) {
    if (is_input[id]) continue;
    Value& value = graph.value(id);
    value.type.dtype = DType::Float32;
    if (value.is_constant()) widen_constant(value);
  }
  for (const NodeId id : order) {
    Node& node = graph.node(id);
    if (node.attrs.text("dtype") == kHalf)
      node.attrs.set("dtype", std::string(to_string(DType::Float32)));
    const bool converts = node.op == Op::Convert;
    if (converts &&
        graph.value(node.inputs[0]).type.dtype == graph.value(node.outputs[0]).type.dtype) {
      node.op = Op::Identity;
    }
  }
  return {};
}

}  // namespace enn

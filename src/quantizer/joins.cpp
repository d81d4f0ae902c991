#include "quantizer/joins.hpp"

#include <algorithm>
#include <vector>

#include "ops/common.hpp"

namespace enn {
namespace {

bool joins(const Annotation& annotation) {
  return std::ranges::any_of(annotation.inputs, [&](const auto& input) {
    return input.first != annotation.inputs.front().first;
  });
}

}  // namespace

void join_in_float(const Graph& graph, Annotations& annotations) {
  const std::vector<NodeId> order = graph.order();
  std::vector<bool> read(graph.value_count(), false);  // in 8 bits
  std::vector<bool> in_float(graph.value_count(), false);
  std::vector<bool> unread(graph.node_count(), false);  // those that share
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const Node& node = graph.node(*id);
    if (node.op == Op::Identity)
      read[node.inputs[0]] = read[node.inputs[0]] || read[node.outputs[0]];
    if (!annotations.annotated(*id)) continue;
    if (annotations.node(*id)->shares() && !read[node.outputs[0]]) {
      unread[*id] = true;
      continue;
    }
    for (const auto& [value, spec] : annotations.node(*id)->inputs) read[value] = true;
  }
  // A result that is moved on is read as what it was joined from.
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (node.op == Op::Identity) in_float[node.outputs[0]] = in_float[node.inputs[0]];
    if (!unread[id]) continue;
    const Annotation& annotation = *annotations.node(id);
    const bool moved = std::ranges::any_of(
        annotation.inputs, [&](const auto& input) { return bool{in_float[input.first]}; });
    if (!moved && !joins(annotation)) continue;
    in_float[node.outputs[0]] = true;
    annotations.clear(id,
                      "nothing reads it in 8 bits: each operand that it joins keeps its own scale");
  }
}

}  // namespace enn

#include <algorithm>
#include <limits>

#include "compiler/passes/passes.hpp"

namespace enn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool has_activation_range(Op op) {
  switch (op) {
    case Op::Convolution:
    case Op::Linear:
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Maximum:
    case Op::Minimum:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status fuse_activations(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != Op::Relu && node.op != Op::Clamp) continue;
    const ValueId input = node.inputs[0];
    const NodeId producer = graph.value(input).producer;
    if (producer == kNone || !has_activation_range(graph.node(producer).op)) continue;
    if (graph.users(input).size() != 1 || graph.is_output(input)) continue;
    const double minimum = node.op == Op::Relu ? 0.0 : node.attrs.number("min", -kInfinity);
    const double maximum = node.op == Op::Relu ? kInfinity : node.attrs.number("max", kInfinity);
    if (!(minimum <= maximum)) continue;
    // clamp(clamp(x, a, b), minimum, maximum) is one clamp to both bounds clamped.
    Attributes& attrs = graph.node(producer).attrs;
    const double a = std::clamp(attrs.number("activation_min", -kInfinity), minimum, maximum);
    const double b = std::clamp(attrs.number("activation_max", kInfinity), minimum, maximum);
    if (a > -kInfinity) attrs.set("activation_min", a);
    if (b < kInfinity) attrs.set("activation_max", b);
    graph.replace_uses(node.outputs[0], input);
    graph.erase_node(id);
  }
  return {};
}

}  // namespace enn

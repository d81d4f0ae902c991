#include "ops/fusion.hpp"

#include <algorithm>
#include <array>

namespace enn {
namespace {

// What may follow an operator.
struct Fusion {
  Op op;
  bool batch_norm;  // it computes channels that a batch norm can scale
};

constexpr std::array kFusions{
    Fusion{Op::Convolution, true},    Fusion{Op::Linear, true},   Fusion{Op::Add, false},
    Fusion{Op::Sub, false},           Fusion{Op::Mul, false},     Fusion{Op::Div, false},
    Fusion{Op::Maximum, false},       Fusion{Op::Minimum, false}, Fusion{Op::BatchNorm, false},
    Fusion{Op::ChannelAffine, false},
};

const Fusion* fusion_of(Op op) {
  const auto* const found =
      std::ranges::find_if(kFusions, [&](const Fusion& fusion) { return fusion.op == op; });
  return found == kFusions.end() ? nullptr : found;
}

// The only reader of the result, or kNone.
NodeId only_reader(const Graph& graph, NodeId node) {
  const ValueId result = graph.node(node).outputs.front();
  const std::vector<NodeId> users = graph.users(result);
  return users.size() == 1 && !graph.is_output(result) ? users.front() : kNone;
}

bool is_batch_norm_of(const Graph& graph, const Node& next, const Node& node) {
  if (next.op != Op::BatchNorm || next.inputs[0] != node.outputs.front()) return false;
  // The last dimension of a linear layer is the channel dimension only of a matrix.
  return node.op != Op::Linear || graph.value(node.outputs.front()).type.shape.size() == 2;
}

bool is_activation(const Node& next) {
  if (next.op == Op::Relu) return true;
  return next.op == Op::Clamp && next.attrs.number("min") == 0.0 && next.attrs.has("min");
}

}  // namespace

bool has_activation_range(Op op) { return fusion_of(op) != nullptr; }

std::vector<NodeId> fused_followers(const Graph& graph, NodeId node) {
  std::vector<NodeId> followers;
  const Fusion* fusion = fusion_of(graph.node(node).op);
  if (fusion == nullptr) return followers;
  NodeId next = only_reader(graph, node);
  if (fusion->batch_norm && next != kNone &&
      is_batch_norm_of(graph, graph.node(next), graph.node(node))) {
    followers.push_back(next);
    next = only_reader(graph, next);
  }
  if (next != kNone && is_activation(graph.node(next))) followers.push_back(next);
  return followers;
}

}  // namespace enn

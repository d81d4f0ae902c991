#include "ops/fusion.hpp"

#include <algorithm>
#include <array>

#include "ops/binary/binary.hpp"
#include "ops/common.hpp"
#include "ops/evaluate.hpp"
#include "ops/ops.hpp"
#include "ops/written_out.hpp"

namespace enn {
namespace {

// What may follow an operator.
struct Fusion {
  Op op;
  bool layer;  // it has weights: a batch norm can scale its channels
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

// A layer that adds a residual or applies a function ahead of rounding. Transposed convolutions
// become others, which parts them from their readers.
bool has_epilogue(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != Op::Convolution) return node.op == Op::Linear;
  return !node.attrs.boolean("transposed");
}

// The addition that alone reads the result of `node`, perhaps behind identities.
std::optional<FusedSum> sum_behind(const Graph& graph, NodeId node) {
  NodeId sum = only_reader(graph, node);
  while (sum != kNone && graph.node(sum).op == Op::Identity) {
    node = sum;
    sum = only_reader(graph, node);
  }
  if (sum == kNone) return std::nullopt;
  const Node& add = graph.node(sum);
  if (add.op != Op::Add || add.attrs.number("alpha", 1.0) != 1.0 || is_internal(add) ||
      add.inputs[0] == add.inputs[1]) {
    return std::nullopt;
  }
  const ValueId result = graph.node(node).outputs[0];
  return FusedSum{sum, add.inputs[add.inputs[0] == result ? 1 : 0]};
}

bool is_float_constant_expression(const Graph& graph, ValueId id) {
  return graph.value(id).type.dtype == DType::Float32 && is_constant_expression(graph, id);
}

}  // namespace

bool has_activation_range(Op op) { return fusion_of(op) != nullptr; }

bool is_epilogue_function(Op op) {
  constexpr std::array kFunctions{Op::LeakyRelu, Op::Hardsigmoid, Op::Hardswish, Op::Sigmoid,
                                  Op::Silu,      Op::Gelu,        Op::GeluTanh,  Op::Prelu};
  return std::ranges::find(kFunctions, op) != kFunctions.end();
}

bool is_prelu_of_channels(const Graph& graph, NodeId layer, NodeId prelu) {
  const Node& node = graph.node(prelu);
  if (node.op != Op::Prelu || !is_float_constant_expression(graph, node.inputs[1])) return false;
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  if (numel(weight) == 1) return true;
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  const Shape slopes = prelu_weight_shape(shape, weight);
  // The channels come before the spatial dimensions, of which a linear layer has none.
  const std::size_t behind = graph.value(graph.node(layer).inputs[1]).type.shape.size() - 2;
  if (slopes.size() <= behind || shape.size() < slopes.size()) return false;
  const std::size_t own = slopes.size() - 1 - behind;
  return slopes[own] == shape[shape.size() - 1 - behind] && numel(slopes) == slopes[own];
}

std::vector<NodeId> fused_followers(const Graph& graph, NodeId node) {
  std::vector<NodeId> followers;
  const Fusion* fusion = fusion_of(graph.node(node).op);
  if (fusion == nullptr) return followers;
  NodeId next = only_reader(graph, node);
  if (fusion->layer && next != kNone &&
      is_batch_norm_of(graph, graph.node(next), graph.node(node))) {
    followers.push_back(next);
    next = only_reader(graph, next);
  }
  if (next == kNone) {
    const ValueId result = graph.node(followers.empty() ? node : followers.back()).outputs[0];
    const auto function = written_out_function(graph, result);
    if (function && has_epilogue(graph, node))
      followers.insert(followers.end(), function->nodes.begin(), function->nodes.end());
    return followers;
  }
  const Op op = graph.node(next).op;
  const bool follows = is_activation(graph.node(next)) ||
                       (is_epilogue_function(op) && has_epilogue(graph, node) &&
                        (op != Op::Prelu || is_prelu_of_channels(graph, node, next)));
  if (follows) followers.push_back(next);
  return followers;
}

std::optional<FusedSum> residual_sum_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!has_epilogue(graph, id)) return std::nullopt;
  const std::vector<NodeId> followers = fused_followers(graph, id);
  const NodeId last = followers.empty() ? id : followers.back();
  if (last != id && graph.node(last).op != Op::BatchNorm) return std::nullopt;
  const auto sum = sum_behind(graph, last);
  if (!sum) return std::nullopt;
  const Value& residual = graph.value(sum->operand);
  const Node* producer = graph.producer(sum->operand);
  const bool fits = !residual.is_constant() && (producer == nullptr || !is_internal(*producer)) &&
                    residual.type == graph.value(graph.node(sum->sum).outputs[0]).type &&
                    residual.type == graph.value(node.outputs.front()).type;
  return fits ? sum : std::nullopt;
}

bool is_scaled_by_reader(const Graph& graph, NodeId concat) {
  const Node& node = graph.node(concat);
  const std::size_t rank = graph.value(node.outputs.front()).type.shape.size();
  if (node.op != Op::Concat || node.attrs.integer("dim") != 1 || (rank != 2 && rank != 4))
    return false;
  const NodeId reader = only_reader(graph, concat);
  return reader != kNone && graph.node(reader).op == Op::BatchNorm &&
         !graph.node(reader).attrs.boolean("training");
}

std::vector<ValueId> elementwise_operands(const Graph& graph, const Node& node) {
  std::vector<ValueId> operands;
  if (!is_elementwise(node.op) || node.outputs.size() != 1 || !is_evaluable(graph, node)) {
    return operands;
  }
  const TensorType& type = graph.value(node.outputs[0]).type;
  if (type.dtype != DType::Float32) return operands;
  for (const ValueId id : node.inputs) {
    if (id == kNone) return {};
    const Value& value = graph.value(id);
    if (value.is_constant() && value.type.dtype == DType::Float32 && numel(value.type.shape) == 1)
      continue;
    if (value.type != type) return {};
    operands.push_back(id);
  }
  return operands;
}

std::optional<std::size_t> channel_dim(const Shape& constant, const Shape& shape) {
  const std::size_t rank = shape.size();
  if (constant.empty() || constant.size() > rank) return std::nullopt;
  for (const std::size_t dim : {rank - 1, std::size_t{1}}) {
    if (dim == 1 && rank != 4 && rank != 2) continue;
    if (dim + constant.size() < rank) continue;
    const std::size_t own = dim + constant.size() - rank;
    if (constant[own] == shape[dim] && numel(constant) == shape[dim]) return dim;
  }
  return std::nullopt;
}

std::optional<FusedSum> affine_sum_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != Op::Mul || is_internal(node)) return std::nullopt;
  const auto sum = sum_behind(graph, id);
  if (!sum) return std::nullopt;
  const TensorType& type = graph.value(node.outputs[0]).type;
  const auto is_stored = [&](std::size_t i) { return graph.value(node.inputs[i]).is_constant(); };
  const bool stored = is_stored(0) || is_stored(1);
  const auto is_constant = [&](std::size_t i) {
    return stored ? is_stored(i) : is_constant_expression(graph, node.inputs[i]);
  };
  const std::size_t scale = is_constant(0) ? 0 : 1;
  if (!is_float_constant_expression(graph, node.inputs[scale]) || is_constant(1 - scale) ||
      !is_float_constant_expression(graph, sum->operand) ||
      graph.value(node.inputs[1 - scale]).type != type ||
      graph.value(graph.node(sum->sum).outputs[0]).type != type) {
    return std::nullopt;
  }
  const auto dim = channel_dim(graph.value(node.inputs[scale]).type.shape, type.shape);
  const bool fits = dim && dim == channel_dim(graph.value(sum->operand).type.shape, type.shape);
  return fits ? sum : std::nullopt;
}

}  // namespace enn

#include <algorithm>
#include <cmath>

#include "compiler/passes/passes.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/conv/conv.hpp"
#include "ops/fusion.hpp"

namespace enn {
namespace {

// y = x * scale + shift, per channel: scale = weight / sqrt(variance + eps), shift = bias - mean *
// scale.
struct Affine {
  std::vector<float> scale;
  std::vector<float> shift;
};

Result<Affine> affine_of(const Graph& graph, const Node& node) {
  ENN_ASSIGN(const std::vector<float> mean, constant_floats(graph, node.inputs[3]));
  ENN_ASSIGN(const std::vector<float> variance, constant_floats(graph, node.inputs[4]));
  ENN_ASSIGN(const std::vector<float> weight,
             constant_floats_or(graph, node.inputs[1], mean.size(), 1.0F));
  ENN_ASSIGN(const std::vector<float> bias,
             constant_floats_or(graph, node.inputs[2], mean.size(), 0.0F));
  const double eps = node.attrs.number("eps");
  Affine out;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double scale =
        static_cast<double>(weight[c]) / std::sqrt(static_cast<double>(variance[c]) + eps);
    out.scale.push_back(static_cast<float>(scale));
    out.shift.push_back(
        static_cast<float>(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * scale));
  }
  return Affine(std::move(out));
}

// The convolution or linear node whose constants can take the affine map, or kNone. A quantized
// weight stays as it is (attribute output_scale).
NodeId foldable_producer(const Graph& graph, const Node& node) {
  const ValueId input = node.inputs[0];
  const NodeId id = graph.value(input).producer;
  if (id == kNone || graph.users(input).size() != 1 || graph.is_output(input)) return kNone;
  const Node& producer = graph.node(id);
  const bool linear_on_channels =
      producer.op == Op::Linear && graph.value(input).type.shape.size() == 2;
  if (producer.op != Op::Convolution && !linear_on_channels) return kNone;
  const ValueId weight = producer.inputs[1];
  const Node* dequantize = graph.producer(weight);
  const bool quantized = dequantize != nullptr && dequantize->op == Op::Dequantize &&
                         graph.value(dequantize->inputs[0]).is_constant();
  if (!quantized && !is_float_constant(graph, weight)) return kNone;
  const ValueId bias = producer.inputs[2];
  return bias == kNone || is_float_constant(graph, bias) ? id : kNone;
}

Status fold_into(Graph& graph, NodeId producer, const Affine& affine) {
  const std::vector<ValueId> inputs = graph.node(producer).inputs;
  const std::string name = graph.node(producer).name;
  ENN_ASSIGN(std::vector<float> bias,
             constant_floats_or(graph, inputs[2], affine.scale.size(), 0.0F));
  for (std::size_t c = 0; c < bias.size(); ++c)
    bias[c] = std::fma(bias[c], affine.scale[c], affine.shift[c]);
  if (graph.value(inputs[1]).is_constant()) {
    ENN_ASSIGN(std::vector<float> weight, constant_floats(graph, inputs[1]));
    const Shape shape = graph.value(inputs[1]).type.shape;
    const ResultChannel channel(graph.node(producer), shape);
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= affine.scale[channel(i)];
    graph.node(producer).inputs[1] =
        add_float_constant(graph, name + ".weight.folded", shape, weight);
  } else {
    graph.node(producer).attrs.set("output_scale",
                                   std::vector<double>(affine.scale.begin(), affine.scale.end()));
  }
  const auto channels = static_cast<std::int64_t>(bias.size());
  graph.node(producer).inputs[2] =
      add_float_constant(graph, name + ".bias.folded", {channels}, bias);
  return {};
}

void decompose(Graph& graph, NodeId id, const Affine& affine) {
  const Node node = graph.node(id);
  const TensorType type = graph.value(node.outputs[0]).type;
  Shape per_channel(type.shape.size(), 1);
  per_channel[1] = type.shape[1];
  const ValueId scale = add_float_constant(graph, node.name + ".scale", per_channel, affine.scale);
  const ValueId shift = add_float_constant(graph, node.name + ".shift", per_channel, affine.shift);
  const NodeId mul =
      graph.insert_node(id, Op::Mul, node.name + ".mul", {node.inputs[0], scale}, {type});
  const ValueId product = graph.node(mul).outputs[0];
  const NodeId add = graph.insert_node(id, Op::Add, node.name + ".add", {product, shift}, {type});
  graph.replace_uses(node.outputs[0], graph.node(add).outputs[0]);
}

// The producer of `id` dequantizes, or joins channels that were dequantized.
bool reads_dequantized(const Graph& graph, NodeId id) {
  const auto is_dequantized = [&](ValueId value) {
    const Node* producer = graph.producer(value);
    return producer != nullptr && producer->op == Op::Dequantize;
  };
  const ValueId input = graph.node(id).inputs[0];
  const NodeId producer = graph.value(input).producer;
  if (producer == kNone) return false;
  return is_dequantized(input) ||
         (is_scaled_by_reader(graph, producer) &&
          std::ranges::all_of(graph.node(producer).inputs, is_dequantized));
}

// Between a dequantize and a quantize, perhaps with an activation before the latter: one affine map
// per channel has an 8-bit form.
bool is_quantized(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const std::vector<NodeId> followers = fused_followers(graph, id);
  const ValueId result = graph.node(followers.empty() ? id : followers.back()).outputs[0];
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  const std::vector<NodeId> users = graph.users(result);
  return (rank == 2 || rank == 4) && reads_dequantized(graph, id) && users.size() == 1 &&
         !graph.is_output(result) && graph.node(users.front()).op == Op::Quantize;
}

void make_channel_affine(Graph& graph, NodeId id, const Affine& affine) {
  const Node node = graph.node(id);
  const TensorType type = graph.value(node.outputs[0]).type;
  const ValueId scale =
      add_float_constant(graph, node.name + ".scale", {type.shape[1]}, affine.scale);
  const ValueId shift =
      add_float_constant(graph, node.name + ".shift", {type.shape[1]}, affine.shift);
  Attributes attrs;
  attrs.set("dim", std::int64_t{1});
  const NodeId map = graph.insert_node(id, Op::ChannelAffine, node.name + ".affine",
                                       {node.inputs[0], scale, shift}, {type}, std::move(attrs));
  graph.node(map).origin = node.origin;
  graph.replace_uses(node.outputs[0], graph.node(map).outputs[0]);
}

}  // namespace

Status fold_batch_norm(Graph& graph) {
  for (const NodeId id : graph.order()) {
    if (graph.node(id).op != Op::BatchNorm) continue;
    ENN_ASSIGN(const Affine affine, affine_of(graph, graph.node(id)));
    if (const NodeId producer = foldable_producer(graph, graph.node(id)); producer != kNone) {
      ENN_TRY(fold_into(graph, producer, affine));
      graph.replace_uses(graph.node(id).outputs[0], graph.node(id).inputs[0]);
    } else if (is_quantized(graph, id)) {
      make_channel_affine(graph, id, affine);
    } else {
      decompose(graph, id, affine);
    }
    graph.erase_node(id);
  }
  return {};
}

}  // namespace enn

#include "pt2e/fuse_batch_norms.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/conv/conv.hpp"

namespace enn {

namespace {

// The convolution that the batch norm is folded into, or kNone.
NodeId foldable_convolution(const Graph& graph, const Node& norm) {
  if (norm.op != Op::BatchNorm || norm.attrs.boolean("training")) return kNone;
  const ValueId input = norm.inputs[0];
  const NodeId id = graph.value(input).producer;
  if (id == kNone || graph.node(id).op != Op::Convolution) return kNone;
  if (graph.users(input).size() != 1 || graph.is_output(input)) return kNone;
  for (std::size_t i = 1; i < norm.inputs.size(); ++i) {
    if (norm.inputs[i] != kNone && !is_float_constant(graph, norm.inputs[i])) return kNone;
  }
  const Node& convolution = graph.node(id);
  if (!is_float_constant(graph, convolution.inputs[1])) return kNone;
  const ValueId bias = convolution.inputs[2];
  return bias == kNone || is_float_constant(graph, bias) ? id : kNone;
}

// weight * (norm_weight / sqrt(variance + eps)), (bias - mean) / sqrt(…) * norm_weight + norm_bias,
// each operation in float32.
Status fold(Graph& graph, NodeId norm_id, NodeId convolution_id) {
  const Node norm = graph.node(norm_id);
  const Node convolution = graph.node(convolution_id);
  ENN_ASSIGN(const std::vector<float> mean, constant_floats(graph, norm.inputs[3]));
  ENN_ASSIGN(const std::vector<float> variance, constant_floats(graph, norm.inputs[4]));
  const std::size_t channels = mean.size();
  ENN_ASSIGN(const std::vector<float> scale,
             constant_floats_or(graph, norm.inputs[1], channels, 1.0F));
  ENN_ASSIGN(const std::vector<float> shift,
             constant_floats_or(graph, norm.inputs[2], channels, 0.0F));
  ENN_ASSIGN(std::vector<float> bias,
             constant_floats_or(graph, convolution.inputs[2], channels, 0.0F));
  ENN_ASSIGN(std::vector<float> weight, constant_floats(graph, convolution.inputs[1]));
  const auto eps = static_cast<float>(norm.attrs.number("eps"));
  std::vector<float> inverse_deviation(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    inverse_deviation[c] = 1.0F / std::sqrt(variance[c] + eps);
    bias[c] = (bias[c] - mean[c]) * inverse_deviation[c] * scale[c] + shift[c];
  }
  const Shape shape = graph.value(convolution.inputs[1]).type.shape;
  const ResultChannel channel(convolution, shape);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const std::size_t c = channel(i);
    weight[i] *= scale[c] * inverse_deviation[c];
  }
  // A weight of several convolutions is folded for each.
  const bool shared = graph.users(convolution.inputs[1]).size() > 1;
  const std::string weight_name =
      (shared ? convolution.name + "_weight" : graph.value(convolution.inputs[1]).name) + "_fused";
  const std::string bias_name = convolution.name + "_bias_fused";
  const ValueId new_weight = add_float_constant(graph, weight_name, shape, weight);
  const ValueId new_bias =
      add_float_constant(graph, bias_name, {static_cast<std::int64_t>(channels)}, bias);
  Node& fused = graph.node(convolution_id);
  fused.inputs[1] = new_weight;
  fused.inputs[2] = new_bias;
  graph.replace_uses(norm.outputs[0], norm.inputs[0]);
  graph.erase_node(norm_id);
  return {};
}

}  // namespace

Status fuse_batch_norms(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const NodeId convolution = foldable_convolution(graph, graph.node(id));
    if (convolution != kNone) ENN_TRY(fold(graph, id, convolution));
  }
  return {};
}

}  // namespace enn

#include "quantizer/quantizer.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <set>

#include "ops/common.hpp"
#include "ops/fusion.hpp"
#include "ops/in_place.hpp"
#include "ops/masks.hpp"
#include "ops/ops.hpp"
#include "ops/steep.hpp"
#include "quantizer/json.hpp"
#include "quantizer/overrides.hpp"
#include "quantizer/upstream.hpp"

namespace enn {

namespace {

// Uninterpreted calls are known by their targets alone.
bool quantizes(const Node& node) {
  return node.op == Op::Quantize || node.op == Op::Dequantize ||
         node.target.starts_with("quantized_decomposed.quantize_per") ||
         node.target.starts_with("quantized_decomposed.dequantize_per");
}

std::string upper_case(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper;
}

}  // namespace

Result<Compatibility> compatibility_from_string(std::string_view name) {
  const std::string upper = upper_case(name);
  if (upper == "DEFAULT") return Compatibility::Default;
  if (upper == "UPSTREAM") return Compatibility::Upstream;
  return error(Code::InvalidArgument, "compatibility '", printable(name),
               "' is not known; there are 'DEFAULT' and 'UPSTREAM'");
}

Result<Precision> precision_from_string(std::string_view name) {
  if (upper_case(name) == "A8W8") return Precision::A8W8;
  return error(Code::InvalidArgument, "precision '", printable(name),
               "' is not supported; the supported precision is 'A8W8'");
}

QuantizationConfig quantization_config(Precision, bool is_per_channel, bool is_qat) {
  QuantizationConfig config;
  config.is_qat = is_qat;
  config.activation.observer = is_qat ? Observer::FusedMovingAvgFakeQuantize : Observer::MinMax;
  config.weight.observer = config.activation.observer;
  if (is_per_channel) {
    config.weight.qscheme = QScheme::PerChannelSymmetric;
    config.weight.ch_axis = 0;
    config.weight.observer =
        is_qat ? Observer::FusedMovingAvgPerChannelFakeQuantize : Observer::PerChannelMinMax;
  }
  return config;
}

Status check_not_quantized(const Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!quantizes(node)) continue;
    return error(Code::InvalidArgument, "node '", node.name, "' (", node.target,
                 "): the model is quantized already; quantize the float model");
  }
  return {};
}

Annotations::Annotations(const Graph& graph)
    : nodes_(graph.node_count()), inputs_(graph.value_count()), excluded_(graph.node_count()) {}

void EnnQuantizer::set_quant_params(Precision precision, bool is_per_channel, bool is_qat) {
  precision_ = precision;
  is_per_channel_ = is_per_channel;
  is_qat_ = is_qat;
}

namespace {

// An operand that an internal node computes stands for that node's operands.
void see_through_internal(const Graph& graph, NodeId id, Annotations& annotations) {
  Annotation annotation = *annotations.node(id);
  for (std::size_t i = 0; i < annotation.inputs.size();) {
    const auto [value, spec] = annotation.inputs[i];
    const Node* producer = graph.producer(value);
    if (producer == nullptr || !is_internal(*producer)) {
      ++i;
      continue;
    }
    annotation.inputs.erase(annotation.inputs.begin() + static_cast<std::ptrdiff_t>(i));
    for (const ValueId operand : producer->inputs) {
      const bool scalar = operand == kNone || (graph.value(operand).is_constant() &&
                                               graph.value(operand).type.shape.empty());
      if (!scalar && is_float_value(graph, operand)) annotation.inputs.emplace_back(operand, spec);
    }
  }
  annotations.set(id, std::move(annotation));
}

// The values that an annotated node reads in 8 bits.
std::vector<bool> values_read_quantized(const Graph& graph, const Annotations& annotations) {
  std::vector<bool> read(graph.value_count());
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    for (const auto& [value, spec] : annotations.node(id)->inputs) read[value] = true;
  }
  return read;
}

void place(const Graph& graph, const QuantizationConfig& config, Annotations& annotations) {
  const std::vector<bool> steep = values_read_steeply(graph);
  const auto is_read_steeply = [&](NodeId id) {
    return std::ranges::any_of(graph.node(id).outputs, [&](ValueId value) { return steep[value]; });
  };
  const auto is_constant = [&](NodeId id) {
    return std::ranges::all_of(graph.node(id).outputs,
                               [&](ValueId value) { return is_constant_expression(graph, value); });
  };
  for (const NodeId id : graph.order()) {
    if (annotations.annotated(id) || is_internal(graph.node(id)) || is_constant(id) ||
        runs_on_masks(graph, id) ||
        (is_read_steeply(id) && passes_steepness(graph, graph.node(id)))) {
      continue;
    }
    annotate(graph, id, config, annotations);
    if (annotations.annotated(id)) see_through_internal(graph, id, annotations);
  }
  for (const NodeId id : graph.order()) {
    if (!is_read_steeply(id) || !annotations.annotated(id)) continue;
    Annotation annotation = *annotations.node(id);
    annotation.output.reset();
    annotations.set(id, std::move(annotation));
  }
}

// Whether nothing but the bias of a layer is `value`, which stays float.
bool is_bias_alone(const Node& layer, ValueId value) {
  const bool weighted = layer.op == Op::Convolution || layer.op == Op::Linear;
  return weighted && layer.inputs[0] != value && layer.inputs[1] != value;
}

// Nodes that give or read a tensor that is written in place, or a view of one, and what writes it:
// a quantize between a tensor and its view would part them. A write that nobody else sees is as
// good as a new tensor, if the operator is one of ours.
std::map<const Node*, std::string> readers_of_written_tensors(const Graph& graph) {
  std::map<const Node*, std::string> nodes;
  for (const NodeId id : graph.order()) {
    const Node& writer = graph.node(id);
    if (!writes_in_place(writer)) continue;
    if (writer.op != Op::Unknown && !is_write_seen(graph, id)) continue;
    const std::string reason = "a write in place ('" + writer.name + "')";
    for (const ValueId alias : aliases_of(graph, writer.inputs[0])) {
      if (const Node* producer = graph.producer(alias)) nodes.emplace(producer, reason);
      for (const NodeId user : graph.users(alias)) {
        if (!is_bias_alone(graph.node(user), alias)) nodes.emplace(&graph.node(user), reason);
      }
    }
  }
  return nodes;
}

// What reads `value`, itself or behind an affine map.
std::vector<NodeId> readers_of(const Graph& graph, ValueId value) {
  std::vector<NodeId> readers;
  for (const NodeId user : graph.users(value)) {
    const auto affine = affine_sum_of(graph, user);
    if (affine || graph.node(user).op == Op::Identity) {
      const NodeId last = affine ? affine->sum : user;
      std::ranges::copy(readers_of(graph, graph.node(last).outputs[0]),
                        std::back_inserter(readers));
    } else {
      readers.push_back(user);
    }
  }
  return readers;
}

// A sum that goes on beside the layer that it is the input of, as in transformers: a layer norm, or
// a linear layer where an affine map stands for the norm. Each of the sums along the way is rounded
// again, so that the roundings add up, while what the first clips the others find clipped, and the
// norms make little of.
bool is_residual_stream(const Graph& graph, const Node& node) {
  if (node.op != Op::Add) return false;
  const std::vector<NodeId> readers = readers_of(graph, node.outputs[0]);
  const auto begins_layer = [&](NodeId id) {
    return graph.node(id).op == Op::LayerNorm || graph.node(id).op == Op::Linear;
  };
  return std::ranges::any_of(readers, begins_layer) && !std::ranges::all_of(readers, begins_layer);
}

// Inputs are quantized when something reads them in 8 bits.
void annotate_inputs(const Graph& graph, const QuantizationConfig& config,
                     Annotations& annotations) {
  const std::vector<bool> read = values_read_quantized(graph, annotations);
  for (const ValueId id : graph.inputs()) {
    if (read[id] && is_float_value(graph, id) && !is_score_mask(graph, id)) {
      annotations.set_input(id, config.activation);
    }
  }
}

}  // namespace

std::string EnnQuantizer::excluded_by(const Node& node) const {
  for (const std::string& pattern : excluded_nodes_) {
    if (matches(pattern, node.name)) return "exclude_node('" + pattern + "')";
  }
  for (const std::string& op : excluded_operators_) {
    if (is_operator(node, op)) return "exclude_operator('" + op + "')";
  }
  return "";
}

std::optional<std::string_view> EnnQuantizer::observer_for(const Node* node,
                                                           std::string_view name) const {
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    if (matches(nodes_[i].subject, name)) return nodes_[i].observer;
  }
  for (std::size_t i = operators_.size(); i-- > 0;) {
    if (node != nullptr && is_operator(*node, operators_[i].subject)) return operators_[i].observer;
  }
  return std::nullopt;
}

Annotations EnnQuantizer::annotate(const Graph& graph) const {
  QuantizationConfig config = quantization_config(precision_, is_per_channel_, is_qat_);
  const bool upstream = compatibility_ == Compatibility::Upstream;
  if (!is_qat_) {
    const Observer standard = upstream ? Observer::MinMax : Observer::Mse;
    config.activation.observer = observer_of_name(observer_).value_or(standard);
  }
  // From -128 the scale would be max / 127.5, and a weight of +max be clipped to 127.
  if (!upstream && is_per_channel_) config.weight.quant_min = -127;
  Annotations annotations = upstream ? annotate_as_upstream(graph, config) : Annotations(graph);
  const auto written =
      upstream ? std::map<const Node*, std::string>() : readers_of_written_tensors(graph);
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    const auto found = written.find(&node);
    annotations.set_excluded(id, found == written.end() ? excluded_by(node) : found->second);
  }
  if (!upstream) place(graph, config, annotations);
  clear_excluded(graph, config, annotations);
  if (!upstream) annotate_inputs(graph, config, annotations);
  if (!is_qat_) {
    const bool standard = !upstream && observer_.empty();
    choose_observers(
        graph,
        [&](const Node* node, std::string_view name) -> std::optional<Observer> {
          if (const auto chosen = observer_for(node, name)) return observer_of_name(*chosen);
          if (standard && node != nullptr && is_residual_stream(graph, *node)) {
            return Observer::Percentile;
          }
          return std::nullopt;
        },
        annotations);
  }
  return annotations;
}

}  // namespace enn

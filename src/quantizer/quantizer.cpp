#include "quantizer/quantizer.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/regex.hpp"
#include "ops/common.hpp"
#include "ops/float_values.hpp"
#include "ops/fusion.hpp"
#include "ops/in_place.hpp"
#include "ops/masks.hpp"
#include "ops/ops.hpp"
#include "quantizer/fixed_results.hpp"
#include "quantizer/joins.hpp"
#include "quantizer/json.hpp"
#include "quantizer/overrides.hpp"
#include "quantizer/single_rounding.hpp"
#include "quantizer/upstream.hpp"

namespace enn {

namespace {

constexpr double kSmallestScale = 0x1p-30;  // a product of two is a normal float32

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

std::string_view repairs_need_all_samples() {
  return "the quantizer asks for repairs (set_repair, \"repair\" in a recipe), which need all "
         "samples at once: use openenn.quantize() or quantize_repaired(), or the command enn "
         "quantize";
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
    : nodes_(graph.node_count()),
      inputs_(graph.value_count()),
      excluded_(graph.node_count()),
      reasons_(graph.node_count()) {}

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

// Whether the node reads a constant with an element that is not finite: no 8-bit scale holds it.
bool reads_infinities(const Graph& graph, const Node& node) {
  return std::ranges::any_of(node.inputs, [&](ValueId id) {
    if (id == kNone || !graph.value(id).is_constant()) return false;
    const Value& value = graph.value(id);
    if (value.type.dtype != DType::Float32) return false;
    for (std::size_t at = 0; at < value.data->size(); at += sizeof(float)) {
      float number = 0;
      std::memcpy(&number, value.data->data() + at, sizeof(number));
      if (!std::isfinite(number)) return true;
    }
    return false;
  });
}

// Takes away what the node's annotation says of values that stay in float.
void spare_float_values(const Graph& graph, NodeId id, const FloatValues& floats,
                        Annotations& annotations) {
  Annotation annotation = *annotations.node(id);
  const Node& node = graph.node(id);
  const bool on_floats = std::ranges::any_of(node.inputs, [&](ValueId operand) {
    return operand != kNone && floats.is_float_operand(node, operand);
  });
  const bool gives_float = std::ranges::any_of(
      node.outputs, [&](ValueId value) { return floats.reason(value) != FloatReason::None; });
  if (on_floats && (gives_float || annotation.shares())) return annotations.clear(id);
  if (on_floats) annotation.inputs.clear();
  if (gives_float) annotation.output.reset();
  annotations.set(id, std::move(annotation));
}

void place(const Graph& graph, const QuantizationConfig& config, Annotations& annotations) {
  const auto floats = graph.analysis<FloatValues>();
  const auto is_constant = [&](NodeId id) {
    return std::ranges::all_of(graph.node(id).outputs,
                               [&](ValueId value) { return is_constant_expression(graph, value); });
  };
  for (const NodeId id : graph.order()) {
    if (annotations.annotated(id) || is_internal(graph.node(id)) || is_constant(id) ||
        runs_on_masks(graph, id) || reads_infinities(graph, graph.node(id)) ||
        floats->runs_in_float(id)) {
      continue;
    }
    annotate(graph, id, config, annotations);
    if (annotations.annotated(id)) see_through_internal(graph, id, annotations);
  }
  for (const NodeId id : graph.order()) {
    if (annotations.annotated(id)) spare_float_values(graph, id, *floats, annotations);
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
  std::vector<bool> seen(graph.value_count(), false);
  for (const NodeId id : graph.order()) {
    const Node& writer = graph.node(id);
    if (!writes_in_place(writer)) continue;
    if (writer.op != Op::Unknown && !is_write_seen(graph, id)) continue;
    if (seen[writer.inputs[0]]) continue;
    const std::string reason = "a write in place ('" + writer.name + "')";
    for (const ValueId alias : aliases_of(graph, writer.inputs[0])) {
      seen[alias] = true;
      if (const Node* producer = graph.producer(alias)) nodes.emplace(producer, reason);
      for (const NodeId user : graph.users(alias)) {
        if (!is_bias_alone(graph.node(user), alias)) nodes.emplace(&graph.node(user), reason);
      }
    }
  }
  return nodes;
}

// A sum that goes on beside the layer that it is the input of, as in transformers: a layer norm, or
// a linear layer where an affine map stands for the norm. Each of the sums along the way is rounded
// again, so that the roundings add up, while what the first clips the others find clipped, and the
// norms make little of.
struct ResidualStreams {
  explicit ResidualStreams(const Graph& graph)
      : begins_layer(graph.value_count(), false), goes_on(graph.value_count(), false) {
    const std::vector<NodeId> order = graph.order();
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const Node& node = graph.node(*id);
      if (node.outputs.empty()) continue;
      // What reads the result of an affine map reads its operand.
      const auto affine = affine_sum_of(graph, *id);
      const bool passes = node.op == Op::Identity ||
                          (affine && !holds_masks(graph, graph.node(affine->sum).outputs[0]));
      const ValueId result = (affine ? graph.node(affine->sum) : node).outputs[0];
      const bool layer = node.op == Op::LayerNorm || node.op == Op::Linear;
      const bool begins = passes ? begins_layer[result] : layer;
      const bool continues = passes ? goes_on[result] : !layer;
      for (const ValueId input : node.inputs) {
        if (input == kNone) continue;
        begins_layer[input] = begins_layer[input] || begins;
        goes_on[input] = goes_on[input] || continues;
      }
    }
  }

  // By value: some reader begins a layer, some other does not.
  std::vector<bool> begins_layer;
  std::vector<bool> goes_on;
};

bool is_residual_stream(const Graph& graph, const Node& node) {
  if (node.op != Op::Add) return false;
  const auto streams = graph.analysis<ResidualStreams>();
  return streams->begins_layer[node.outputs[0]] && streams->goes_on[node.outputs[0]];
}

// Inputs are quantized when something reads them in 8 bits; one that stays in float is quantized
// by what reads it so.
void annotate_inputs(const Graph& graph, const QuantizationConfig& config,
                     Annotations& annotations) {
  const auto floats = graph.analysis<FloatValues>();
  const std::vector<bool> read = values_read_quantized(graph, annotations);
  for (const ValueId id : graph.inputs()) {
    if (read[id] && is_float_value(graph, id) && !is_score_mask(graph, id) &&
        floats->reason(id) == FloatReason::None) {
      annotations.set_input(id, config.activation);
    }
  }
}

}  // namespace

std::string EnnQuantizer::excluded_by(const Node& node) const {
  for (const std::string& pattern : excluded_nodes_) {
    if (matches(pattern, node.name)) return "exclude_node('" + pattern + "')";
  }
  for (const std::string& pattern : excluded_modules_) {
    if (is_selected(node, pattern)) return "exclude_module('" + pattern + "')";
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
  for (std::size_t i = modules_.size(); i-- > 0;) {
    if (node != nullptr && is_selected(*node, modules_[i].subject)) return modules_[i].observer;
  }
  for (std::size_t i = operators_.size(); i-- > 0;) {
    if (node != nullptr && is_operator(*node, operators_[i].subject)) return operators_[i].observer;
  }
  return std::nullopt;
}

Status EnnQuantizer::check_patterns(const Graph& graph) const {
  const std::vector<NodeId> order = graph.order();
  const auto is_node = [&](std::string_view pattern) {
    return std::ranges::any_of(order,
                               [&](NodeId id) { return matches(pattern, graph.node(id).name); });
  };
  const auto is_module = [&](std::string_view pattern) {
    return std::ranges::any_of(order,
                               [&](NodeId id) { return is_selected(graph.node(id), pattern); });
  };
  const auto is_input = [&](std::string_view pattern) {
    return std::ranges::any_of(graph.inputs(),
                               [&](ValueId id) { return matches(pattern, graph.value(id).name); });
  };
  const auto no_node = [&](std::string_view setting, std::string_view pattern,
                           std::string_view for_modules) {
    return error(Code::InvalidArgument, setting, "('", printable(pattern),
                 "') names no node of the model as it is quantized (with batch norms folded and "
                 "attention decomposed)",
                 is_module(pattern) ? str("; it names a module: use ", for_modules) : "");
  };
  const auto no_module = [&](std::string_view setting, std::string_view pattern) {
    return error(Code::InvalidArgument, setting, "('", printable(pattern),
                 "') names no module of the eager model, neither by path (features.0.conv) nor by "
                 "class (torch.nn.Linear)",
                 module_selector(pattern).op.empty() ? "" : ", that has this operator");
  };
  for (const std::string& pattern : excluded_nodes_) ENN_TRY(check_pattern(pattern));
  for (const Override& item : nodes_) ENN_TRY(check_pattern(item.subject));
  for (const std::string& pattern : excluded_modules_)
    ENN_TRY(check_pattern(module_selector(pattern).module));
  for (const Override& item : modules_)
    ENN_TRY(check_pattern(module_selector(item.subject).module));
  for (const std::string& pattern : excluded_nodes_) {
    if (!is_node(pattern)) {
      return no_node("exclude_node", pattern, "exclude_module");
    }
  }
  for (const Override& item : nodes_) {
    if (!is_node(item.subject) && !is_input(item.subject)) {
      return no_node("set_observer_for_node", item.subject, "set_observer_for_module");
    }
  }
  for (const std::string& pattern : excluded_modules_) {
    if (!is_module(pattern)) return no_module("exclude_module", pattern);
  }
  for (const Override& item : modules_) {
    if (!is_module(item.subject)) return no_module("set_observer_for_module", item.subject);
  }
  return {};
}

std::vector<std::string> EnnQuantizer::absent_operators(const Graph& graph) const {
  std::vector<std::string> wanted = excluded_operators_;
  for (const Override& item : operators_) wanted.push_back(item.subject);
  const std::vector<NodeId> order = graph.order();
  std::erase_if(wanted, [&](const std::string& op) {
    return std::ranges::any_of(order, [&](NodeId id) { return is_operator(graph.node(id), op); });
  });
  return wanted;
}

Annotations EnnQuantizer::annotate(const Graph& graph) const {
  QuantizationConfig config = quantization_config(precision_, is_per_channel_, is_qat_);
  const bool upstream = compatibility_ == Compatibility::Upstream;
  if (!is_qat_) {
    const Observer standard = upstream ? Observer::MinMax : Observer::Mse;
    config.activation.observer = observer_of_name(observer_).value_or(standard);
  }
  if (!upstream) {
    // From -128 the scale would be max / 127.5, and a weight of +max be clipped to 127.
    if (is_per_channel_) config.weight.quant_min = -127;
    // Upstream's floor of 2^-12 is larger than the scales of weights that a batch norm with a large
    // variance is folded into, or of a spectrum's values: all of them would become 0.
    config.activation.eps = kSmallestScale;
    config.weight.eps = kSmallestScale;
  }
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
  if (!upstream) join_in_float(graph, annotations);
  if (!upstream && !is_qat_) round_once(graph, annotations);
  if (!upstream) read_fixed_results_once(graph, annotations);
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

#include "quantizer/quantizer.hpp"

#include <algorithm>
#include <cctype>

#include "ops/common.hpp"
#include "ops/ops.hpp"
#include "quantizer/upstream.hpp"

namespace enn {

namespace {

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
  return error(Code::InvalidArgument, "compatibility '", name,
               "' is not known; there are 'DEFAULT' and 'UPSTREAM'");
}

Result<Precision> precision_from_string(std::string_view name) {
  if (upper_case(name) == "A8W8") return Precision::A8W8;
  return error(Code::InvalidArgument, "precision '", name,
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

Annotations::Annotations(const Graph& graph)
    : nodes_(graph.node_count()), inputs_(graph.value_count()) {}

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

}  // namespace

Annotations EnnQuantizer::annotate(const Graph& graph) const {
  QuantizationConfig config = quantization_config(precision_, is_per_channel_, is_qat_);
  if (compatibility_ == Compatibility::Upstream) return annotate_as_upstream(graph, config);
  if (!is_qat_) config.activation.observer = Observer::Histogram;
  Annotations annotations(graph);
  for (const NodeId id : graph.order()) {
    if (annotations.annotated(id) || is_internal(graph.node(id))) continue;
    enn::annotate(graph, id, config, annotations);
    if (annotations.annotated(id)) see_through_internal(graph, id, annotations);
  }
  const std::vector<bool> read = values_read_quantized(graph, annotations);
  for (const ValueId id : graph.inputs()) {
    if (read[id] && is_float_value(graph, id) && !is_score_mask(graph, id)) {
      annotations.set_input(id, config.activation);
    }
  }
  return annotations;
}

}  // namespace enn

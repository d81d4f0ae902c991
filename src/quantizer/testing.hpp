// Annotations as text, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "quantizer/quantizer.hpp"

namespace enn {

inline std::string spec_text(const Graph& graph, const Spec& spec) {
  if (const auto* quantized = std::get_if<QuantizationSpec>(&spec)) {
    switch (quantized->qscheme) {
      case QScheme::PerTensorAffine:
        return "affine";
      case QScheme::PerTensorSymmetric:
        return "symmetric";
      case QScheme::PerChannelSymmetric:
        return str("channel", quantized->ch_axis);
    }
  }
  if (const auto* fixed = std::get_if<FixedQParamsSpec>(&spec)) {
    return str("fixed(", fixed->scale, ",", fixed->zero_point, ")");
  }
  const auto& shared = std::get<SharedSpec>(spec);
  const std::string value = graph.value(shared.value).name;
  return shared.consumer == kNone ? str("as(", value, ")")
                                  : str("as(", value, "->", graph.node(shared.consumer).name, ")");
}

// One line per graph input and node that is annotated: "node: operand=spec … => spec of the
// result".
inline std::string annotations(std::string_view text, bool per_channel = true, bool is_qat = false,
                               const std::vector<std::string>& excluded = {}) {
  const auto parsed = parse(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  if (!parsed.ok()) return "";
  const Graph& graph = parsed.value();
  EXPECT_EQ(verify(graph).message(), "");
  EnnQuantizer quantizer;
  quantizer.set_quant_params(Precision::A8W8, per_channel, is_qat);
  for (const std::string& node : excluded) quantizer.exclude_node(node);
  const Annotations result = quantizer.annotate(graph);
  std::string out;
  for (const ValueId id : graph.inputs()) {
    if (result.input(id))
      out += graph.value(id).name + ": => " + spec_text(graph, *result.input(id)) + "\n";
  }
  for (const NodeId id : graph.order()) {
    if (!result.annotated(id)) continue;
    out += graph.node(id).name + ":";
    for (const auto& [value, spec] : result.node(id)->inputs) {
      out += " " + graph.value(value).name + "=" + spec_text(graph, spec);
    }
    if (result.node(id)->output) out += " => " + spec_text(graph, *result.node(id)->output);
    out += "\n";
  }
  return out;
}

}  // namespace enn

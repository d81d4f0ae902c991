#include "quantizer/explain.hpp"

#include <algorithm>
#include <memory>

#include "ops/common.hpp"
#include "ops/float_values.hpp"
#include "ops/masks.hpp"
#include "quantizer/overrides.hpp"

namespace enn {

std::string_view to_string(QScheme scheme) {
  switch (scheme) {
    case QScheme::PerTensorAffine:
      return "per_tensor_affine";
    case QScheme::PerTensorSymmetric:
      return "per_tensor_symmetric";
    case QScheme::PerChannelSymmetric:
      return "per_channel_symmetric";
  }
  return "";
}

std::string_view to_string(Observer observer) {
  switch (observer) {
    case Observer::MinMax:
      return "MinMax";
    case Observer::PerChannelMinMax:
      return "PerChannelMinMax";
    case Observer::MovingAverageMinMax:
      return "MovingAverageMinMax";
    case Observer::MovingAveragePerChannelMinMax:
      return "MovingAveragePerChannelMinMax";
    case Observer::Histogram:
      return "Histogram";
    case Observer::Percentile:
      return "Percentile";
    case Observer::Mse:
      return "Mse";
    case Observer::Kl:
      return "Kl";
    case Observer::FusedMovingAvgFakeQuantize:
      return "FusedMovingAvgFakeQuantize";
    case Observer::FusedMovingAvgPerChannelFakeQuantize:
      return "FusedMovingAvgPerChannelFakeQuantize";
  }
  return "";
}

namespace {

// The enumerator in [0, last] of that name.
template <typename Enum>
Result<Enum> from_string(std::string_view name, Enum last, std::string_view what) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (to_string(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  }
  return error(Code::InvalidArgument, what, " '", name, "' is not known");
}

}  // namespace

Result<QScheme> qscheme_from_string(std::string_view name) {
  return from_string(name, QScheme::PerChannelSymmetric, "quantization scheme");
}

Result<Observer> observer_from_string(std::string_view name) {
  return from_string(name, Observer::FusedMovingAvgPerChannelFakeQuantize, "observer");
}

namespace {

Facts facts_of(const Graph& graph, const Spec& spec) {
  if (const auto* observed = std::get_if<QuantizationSpec>(&spec)) {
    Facts facts{{"dtype", std::string(to_string(observed->dtype))},
                {"scheme", std::string(to_string(observed->qscheme))},
                {"observer", std::string(to_string(observed->observer))}};
    if (observed->ch_axis >= 0) facts.emplace_back("axis", str(observed->ch_axis));
    return facts;
  }
  if (const auto* fixed = std::get_if<FixedQParamsSpec>(&spec)) {
    return {{"dtype", std::string(to_string(fixed->dtype))},
            {"scheme", "fixed"},
            {"scale", str(fixed->scale)},
            {"zero_point", str(fixed->zero_point)}};
  }
  const auto& shared = std::get<SharedSpec>(spec);
  std::string with = graph.value(shared.value).name;
  if (shared.consumer != kNone) with += " -> " + graph.node(shared.consumer).name;
  return {{"shared_with", std::move(with)}};
}

constexpr std::string_view kMask =
    "no 8-bit scale holds beside the scores of a softmax what masks them (-inf, -10000)";

std::string_view reason_of(FloatReason reason) {
  switch (reason) {
    case FloatReason::None:
      break;
    case FloatReason::Steep:
      return "a logarithm, sine or cosine, a division by it or a grid of places tells apart what "
             "one "
             "8-bit step does not";
    case FloatReason::Compared:
      return "a comparison reads it: two quantizations of one value would not compare equal, and "
             "8 bits hold no NaN";
    case FloatReason::Returned:
      return "the model returns this input as it is";
    case FloatReason::Stream:
      return "it belongs to a residual stream that a norm reads: a few of its channels are far "
             "larger than the others, and its roundings would add up";
    case FloatReason::State:
      return "it belongs to the state of a recurrent cell, whose roundings would add up over the "
             "steps";
    case FloatReason::Features:
      return "an affine map per channel alone reads it: one 8-bit scale would not hold features of "
             "different size";
  }
  return "";
}

class Explainer {
 public:
  Explainer(const Graph& graph, const Annotations& annotations, std::span<const NodeId> kept)
      : graph_(graph), annotations_(annotations), kept_(kept) {
    floats_ = graph.analysis<FloatValues>();
    fused_into_.assign(graph.node_count(), kNone);
    for (const NodeId id : graph.order()) {
      for (const NodeId follower : fused_with(graph, annotations, id)) fused_into_[follower] = id;
    }
  }

  std::vector<Explanation> run() {
    for (const ValueId id : graph_.inputs()) explain_input(id);
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      if (graph_.value(id).is_constant()) explain_constant(id);
    }
    for (const NodeId id : graph_.order()) explain_node(id);
    return std::move(rows_);
  }

 private:
  [[nodiscard]] std::string not_float(ValueId id) const {
    return str("its values are ", to_string(graph_.value(id).type.dtype),
               "; only float32 and float16 are quantized");
  }

  void explain_input(ValueId id) {
    Explanation row{.kind = "input", .name = graph_.value(id).name};
    if (const auto& spec = annotations_.input(id)) {
      row.decision = "quantized";
      row.result = facts_of(graph_, *spec);
    } else if (is_float_value(graph_, id)) {
      row.decision = "in float";
      row.reason = holds_masks(graph_, id)                    ? kMask
                   : floats_->reason(id) != FloatReason::None ? reason_of(floats_->reason(id))
                                                              : "no operator reads it in 8 bits";
    } else {
      row.decision = "unchanged";
      row.reason = not_float(id);
    }
    rows_.push_back(std::move(row));
  }

  void explain_constant(ValueId id) {
    Explanation row{.kind = "constant", .name = graph_.value(id).name, .decision = "in float"};
    std::string readers;
    for (const NodeId user : graph_.users(id)) {
      readers += (readers.empty() ? "" : ", ") + graph_.node(user).name;
      if (!annotations_.annotated(user)) continue;
      for (const auto& [operand, spec] : annotations_.node(user)->inputs) {
        if (operand != id) continue;
        row.decision = "quantized";
        row.result = facts_of(graph_, spec);
      }
    }
    if (readers.empty()) return;
    row.details = {{"read by", readers}};
    if (row.decision != "quantized") {
      row.reason = holds_masks(graph_, id) ? std::string(kMask)
                   : is_float_value(graph_, id)
                       ? "the operators that read it take it in full precision, as a bias is"
                       : not_float(id);
    }
    rows_.push_back(std::move(row));
  }

  void explain_node(NodeId id) {
    const Node& node = graph_.node(id);
    if (is_internal(node)) return;
    Explanation row{.kind = "node",
                    .name = node.name,
                    .operator_name = node.target,
                    .source = node.origin.source,
                    .module_path = module_path(node.origin)};
    if (std::ranges::find(kept_, id) != kept_.end()) {
      row.decision = "annotated by others";
      row.reason = "the model was annotated before, or by a custom annotation, and that wins";
    } else if (!annotations_.excluded_by(id).empty()) {
      row.decision = "in float";
      row.reason = "excluded by " + annotations_.excluded_by(id);
    } else if (annotations_.annotated(id)) {
      explain_annotated(id, row);
    } else {
      explain_float(id, row);
    }
    rows_.push_back(std::move(row));
    if (node.outputs.size() > 1) explain_parts(node);
  }

  void explain_annotated(NodeId id, Explanation& row) {
    const Annotation& annotation = *annotations_.node(id);
    for (const auto& [operand, spec] : annotation.inputs)
      row.operands.emplace_back(graph_.value(operand).name, facts_of(graph_, spec));
    if (annotation.output) row.result = facts_of(graph_, *annotation.output);
    row.decision = "quantized";
    std::string partners;
    const auto add = [&](NodeId partner) {
      partners += (partners.empty() ? "" : ", ") + graph_.node(partner).name;
    };
    if (fused_into_[id] != kNone && annotations_.excluded_by(fused_into_[id]).empty()) {
      if (annotation.inputs.empty()) row.decision = "fused";
      add(fused_into_[id]);
    }
    if (!annotation.output) std::ranges::for_each(fused_with(graph_, annotations_, id), add);
    if (!partners.empty()) row.details.emplace_back("fused with", partners);
  }

  void explain_float(NodeId id, Explanation& row) const {
    const Node& node = graph_.node(id);
    row.decision = "in float";
    const bool floats = std::ranges::any_of(
        node.outputs, [&](ValueId output) { return is_float_value(graph_, output); });
    if (node.op == Op::Identity && floats) {
      row.decision = "transparent";
      row.reason = "it passes its operand on, which its neighbours quantize";
    } else if (!floats) {
      row.decision = "unchanged";
      row.reason = not_float(node.outputs.front());
    } else if (!annotations_.reason(id).empty()) {
      row.reason = annotations_.reason(id);
    } else if (auto left = left_to_others(graph_, node)) {
      row.reason = std::move(left->reason);
      row.advice = std::move(left->advice);
    } else if (node.op == Op::Unknown) {
      row.reason = str("no rule quantizes the operator ", node.target);
      row.advice =
          "write it with operators of docs/operators.md, or annotate it with "
          "add_custom_quant_annotations";
    } else if (is_constant_expression(graph_, node.outputs.front())) {
      row.reason = "constants alone give its result: the program holds it computed";
    } else if (runs_on_masks(graph_, id)) {
      row.reason = kMask;
    } else if (floats_->reason(node.outputs.front()) != FloatReason::None) {
      row.reason = reason_of(floats_->reason(node.outputs.front()));
    } else if (node.outputs.size() > 1) {
      row.decision = "transparent";
      row.reason = "each of its results is quantized by what reads it";
    } else if (node.attrs.boolean("training")) {
      row.reason = "it computes the statistics of its batch (training mode)";
      row.advice = "export the model in evaluation mode, or set is_qat";
    } else if (!std::ranges::all_of(node.inputs, [&](ValueId operand) {
                 return operand == kNone || is_float_value(graph_, operand);
               })) {
      row.reason = "an operand is not float";
      row.advice = "convert its operands to float32";
    } else if (auto unsupported = unsupported_reason(graph_, node)) {
      row.reason = *std::move(unsupported);
    } else {
      row.reason = str("no rule quantizes ", to_string(node.op), " in this form");
      row.advice = "annotate it with add_custom_quant_annotations";
    }
  }

  void explain_parts(const Node& node) {
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (graph_.users(id).empty() && !graph_.is_output(id)) continue;
      Explanation row{.kind = "part",
                      .name = str(node.name, "[", i, "]"),
                      .operator_name = "getitem",
                      .source = node.origin.source,
                      .module_path = module_path(node.origin)};
      row.decision = is_float_value(graph_, id) ? "transparent" : "unchanged";
      row.reason = is_float_value(graph_, id) ? "what reads it quantizes it" : not_float(id);
      rows_.push_back(std::move(row));
    }
  }

  const Graph& graph_;
  const Annotations& annotations_;
  std::span<const NodeId> kept_;
  std::vector<NodeId> fused_into_;
  std::shared_ptr<FloatValues> floats_;
  std::vector<Explanation> rows_;
};

}  // namespace

std::vector<Explanation> explain(const Graph& graph, const Annotations& annotations,
                                 std::span<const NodeId> kept) {
  return Explainer(graph, annotations, kept).run();
}

}  // namespace enn

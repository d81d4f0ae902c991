// Quantization specs and annotations: the vocabulary in which rules are written and EnnQuantizer
// answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "enn/quantizer.hpp"
#include "ir/graph.hpp"

namespace enn {

enum class QScheme : std::uint8_t { PerTensorAffine, PerTensorSymmetric, PerChannelSymmetric };

// Named as torchao names them.
enum class Observer : std::uint8_t {
  MinMax,
  PerChannelMinMax,
  MovingAverageMinMax,
  MovingAveragePerChannelMinMax,
  Histogram,
  // Other ranges from the same histogram, which torchao has no observer for.
  Percentile,
  Mse,
  Kl,
  FusedMovingAvgFakeQuantize,            // QAT activations and per-tensor weights
  FusedMovingAvgPerChannelFakeQuantize,  // QAT per-channel weights
};

struct QuantizationSpec {
  DType dtype = DType::Int8;
  std::int32_t quant_min = -128;
  std::int32_t quant_max = 127;
  QScheme qscheme = QScheme::PerTensorAffine;
  int ch_axis = -1;  // per-channel schemes only
  Observer observer = Observer::MinMax;
  double eps = 0.000244140625;  // the smallest scale an observer gives; 2^-12 is upstream's
  friend bool operator==(const QuantizationSpec&, const QuantizationSpec&) = default;
};

struct FixedQParamsSpec {
  DType dtype = DType::Int8;
  double scale = 1.0;
  std::int32_t zero_point = 0;
  std::int32_t quant_min = -128;
  std::int32_t quant_max = 127;
  friend bool operator==(const FixedQParamsSpec&, const FixedQParamsSpec&) = default;
};

// Shares the observer of the edge `value` -> `consumer`, or of the value itself when consumer is
// kNone.
struct SharedSpec {
  ValueId value = kNone;
  NodeId consumer = kNone;
  friend bool operator==(const SharedSpec&, const SharedSpec&) = default;
};

using Spec = std::variant<QuantizationSpec, FixedQParamsSpec, SharedSpec>;

struct Annotation {
  std::vector<std::pair<ValueId, Spec>> inputs;  // operand -> spec
  std::optional<Spec> output;

  // Its result has the scale of its operands, or of another value.
  [[nodiscard]] bool shares() const {
    return output && std::holds_alternative<SharedSpec>(*output);
  }
};

struct QuantizationConfig {
  QuantizationSpec activation;
  QuantizationSpec weight;
  bool is_qat = false;
};

// torchao's observers for `precision`, as upstream's get_quant_config chooses them.
[[nodiscard]] QuantizationConfig quantization_config(Precision precision, bool is_per_channel,
                                                     bool is_qat);

// Why a quantizer that repairs() is refused where samples come one after the other.
[[nodiscard]] std::string_view repairs_need_all_samples();

// An error that names a node when the graph quantizes already: what is quantized twice is rounded
// twice.
[[nodiscard]] Status check_not_quantized(const Graph& graph);

// What each graph input and each node was given; nullopt where nothing is quantized.
class Annotations {
 public:
  explicit Annotations(const Graph& graph);
  [[nodiscard]] const std::optional<Annotation>& node(NodeId id) const { return nodes_[id]; }
  [[nodiscard]] const std::optional<Spec>& input(ValueId id) const { return inputs_[id]; }
  [[nodiscard]] bool annotated(NodeId id) const { return nodes_[id].has_value(); }
  void set(NodeId id, Annotation annotation) { nodes_[id] = std::move(annotation); }
  void clear(NodeId id, std::string reason = "") {
    nodes_[id].reset();
    reasons_[id] = std::move(reason);
  }
  // Why the node was cleared, when that is not its operator's rule; else empty.
  [[nodiscard]] const std::string& reason(NodeId id) const { return reasons_[id]; }
  void set_input(ValueId id, Spec spec) { inputs_[id] = spec; }
  void clear_input(ValueId id) { inputs_[id].reset(); }
  // Which setting of the user's left the node in float; empty when none did.
  [[nodiscard]] const std::string& excluded_by(NodeId id) const { return excluded_[id]; }
  void set_excluded(NodeId id, std::string by) { excluded_[id] = std::move(by); }

 private:
  std::vector<std::optional<Annotation>> nodes_;
  std::vector<std::optional<Spec>> inputs_;  // indexed by ValueId
  std::vector<std::string> excluded_;
  std::vector<std::string> reasons_;
};

}  // namespace enn

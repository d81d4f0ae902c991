// EnnQuantizer: which values of a model are quantized, and how. It decides where and of which kind;
// it knows no numbers (scales come from observers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn {

class Annotations;
class Graph;
struct Node;

// Names and numbers as in executorch.backends.samsung.quantizer.
enum class Precision : std::uint8_t { A8W8 = 3 };
[[nodiscard]] Result<Precision> precision_from_string(std::string_view name);

// Where quantization is placed: where it serves accuracy best, or exactly as upstream's annotator
// places it.
enum class Compatibility : std::uint8_t { Default, Upstream };
[[nodiscard]] Result<Compatibility> compatibility_from_string(std::string_view name);

// Of signal over noise, in dB, that the guard asks of each layer unless set otherwise.
inline constexpr double kDefaultGuard = 6.0;

// Places the quantization of a model. Copies are independent.
class EnnQuantizer {
 public:
  // A8W8, per channel, after training, until set_quant_params() says otherwise.
  explicit EnnQuantizer(Compatibility compatibility = Compatibility::Default)
      : compatibility_(compatibility) {}

  // Step 1 of the documented flow.
  void set_quant_params(Precision precision, bool is_per_channel = true, bool is_qat = false);

  // How ranges of activations are found (observer_names()): of all, of the results of an operator
  // ("convolution", "aten.conv2d.default"), of what modules of the eager model compute whose path
  // ("features.0.conv") or class ("torch.nn.Linear") matches a pattern, modules in them included,
  // or of nodes by name. Name wins over module, module over operator. Patterns are text with '*'
  // and '?', or a regular expression after "re:"; ":OPERATOR" after that of a module
  // ("head:linear") chooses an operator in it. Unknown names are errors that list the known.
  [[nodiscard]] Status set_observer(std::string_view observer);
  [[nodiscard]] Status set_observer_for_operator(std::string_view op, std::string_view observer);
  [[nodiscard]] Status set_observer_for_node(std::string_view pattern, std::string_view observer);
  [[nodiscard]] Status set_observer_for_module(std::string_view pattern, std::string_view observer);
  // Whether the biases of convolutions and linear layers take back what rounding the weights does
  // to the means of their results. They do until this says otherwise, but not in upstream's
  // placement, nor in quantization-aware training.
  void set_bias_correction(bool enabled) { bias_correction_ = enabled; }
  // How the weights of convolutions and linear layers are rounded, by name
  // (weight_rounding_names()): "nearest", or "learned" from the calibration data so that the error
  // of the layers' results is small. Learning is for the same placement as bias correction is.
  [[nodiscard]] Status set_weight_rounding(std::string_view rounding);
  // Whether those who have all samples at once (quantize_repaired() and quantize_within(), the
  // command enn, openenn.quantize() in Python) first equalize channels, learn the rounding of
  // weights, and choose ranges by the error of the model's outputs (docs/repair.md). That takes
  // minutes. prepare_pt2e(), which sees one sample after the other, refuses it.
  void set_repair(bool enabled) { repair_ = enabled; }
  // The guard: when a model is converted, the core measures on some of the calibration samples what
  // 8 bits make of each layer, and leaves in float what they destroy: a layer or a value of less
  // signal over noise than `least_sqnr` (in dB), or one whose range is made by outliers. None
  // switches it off. It is on until this says otherwise, but not in upstream's placement, nor in
  // quantization-aware training. InvalidArgument for anything but a number from 0 to 100.
  [[nodiscard]] Status set_guard(std::optional<double> least_sqnr);
  // Leaves the nodes in float whose name matches the pattern, that are computed in a module whose
  // path or class does, or that are of the operator.
  void exclude_node(std::string_view pattern);
  void exclude_module(std::string_view pattern);
  [[nodiscard]] Status exclude_operator(std::string_view op);

  // The configuration as JSON, a recipe (docs/recipes.md); equal configurations are equal text.
  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] static Result<EnnQuantizer> from_json(std::string_view json);

  // As they were set.
  [[nodiscard]] bool is_qat() const { return is_qat_; }
  [[nodiscard]] Compatibility compatibility() const { return compatibility_; }
  [[nodiscard]] bool corrects_biases() const {
    return bias_correction_ && !is_qat_ && compatibility_ == Compatibility::Default;
  }
  [[nodiscard]] bool learns_rounding() const {
    return learned_rounding_ && !is_qat_ && compatibility_ == Compatibility::Default;
  }
  [[nodiscard]] bool repairs() const { return repair_; }

  // None where the guard is off.
  [[nodiscard]] std::optional<double> guard() const {
    return is_qat_ || compatibility_ == Compatibility::Upstream ? std::nullopt : guard_;
  }

  // InvalidArgument when a pattern that was set matches nothing in the graph; the message names it.
  [[nodiscard]] Status check_patterns(const Graph& graph) const;
  // The operators that were set and that the graph does not have: a configuration may be meant for
  // several models.
  [[nodiscard]] std::vector<std::string> absent_operators(const Graph& graph) const;

  // Precondition: verify(graph) is Ok. As upstream places, `graph` must have been imported with
  // import_uninterpreted.
  [[nodiscard]] Annotations annotate(const Graph& graph) const;

 private:
  struct Override {
    std::string subject;  // an operator or a pattern of names
    std::string observer;
  };

  // The setting that leaves the node in float, or "".
  [[nodiscard]] std::string excluded_by(const Node& node) const;
  // What was set for a node, or for a graph input of that name when `node` is null.
  [[nodiscard]] std::optional<std::string_view> observer_for(const Node* node,
                                                             std::string_view name) const;

  Compatibility compatibility_;
  Precision precision_ = Precision::A8W8;
  bool is_per_channel_ = true;
  bool is_qat_ = false;
  bool bias_correction_ = true;
  bool learned_rounding_ = false;
  bool repair_ = false;
  std::optional<double> guard_ = kDefaultGuard;
  std::string observer_;  // empty: the default
  std::vector<Override> operators_;
  std::vector<Override> modules_;
  std::vector<Override> nodes_;
  std::vector<std::string> excluded_operators_;
  std::vector<std::string> excluded_modules_;
  std::vector<std::string> excluded_nodes_;
};

// "minmax", "moving_average", "histogram", "percentile", "mse", "kl".
[[nodiscard]] std::vector<std::string_view> observer_names();
// "nearest", "learned".
[[nodiscard]] std::vector<std::string_view> weight_rounding_names();

}  // namespace enn

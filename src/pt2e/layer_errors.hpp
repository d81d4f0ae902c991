// What quantization does to each layer of a model, measured on samples.
//
//   ENN_ASSIGN(LayerErrors errors, LayerErrors::create(floats, quantized,
//              nodes_of_same_name(floats, quantized), inputs, outputs, mutations, options));
//   for (const auto& sample : samples) ENN_TRY(errors(sample).status());
//   errors.twin().layers[i].nodes        // nodes of `quantized`
//   errors.isolated(i).sqnr()            // of its own quantization, in dB
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "base/closeness.hpp"
#include "enn/model.hpp"
#include "pt2e/float_sums.hpp"
#include "pt2e/histogram.hpp"
#include "pt2e/twin_graph.hpp"

namespace enn {

// The values that a tensor had in float.
struct SeenValues {
  FloatSums sums;
  // Both empty unless asked for: the histogram also where the range has no bins, the largest
  // magnitude in each channel where there are no channels.
  Histogram histogram;
  std::vector<float> channel_peaks;
};

[[nodiscard]] Closeness closeness_of(const FloatSums& references, const ErrorSums& errors);

// What is kept does not grow with the number of samples.
class LayerErrors {
 public:
  // `inputs`, `outputs` and `mutations` are those of the float graph.
  [[nodiscard]] static Result<LayerErrors> create(const Graph& floats, const Graph& quantized,
                                                  std::span<const NodeId> float_nodes,
                                                  std::vector<NamedType> inputs,
                                                  std::vector<NamedType> outputs,
                                                  const std::vector<Mutation>& mutations,
                                                  const ModelOptions& options,
                                                  bool with_details = false);

  // Measures one sample, and gives the float model's results.
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs);

  // From now on vanished() is counted.
  void count_vanished() { counts_vanished_ = true; }
  // Forgets the samples.
  void clear();

  [[nodiscard]] std::uint64_t samples() const { return samples_; }
  [[nodiscard]] const TwinGraph& twin() const { return twin_; }

  // By layer of the twin. Compared with the float model's result.
  [[nodiscard]] Closeness isolated(std::size_t layer) const;
  [[nodiscard]] Closeness accumulated(std::size_t layer) const;
  // The noise, in parts of the signal, that the layer makes itself: that of quantizing its weights
  // and its result, and what isolated() has beyond that which its operands' quantization explains.
  // A wrong range of a value lowers the isolated() of its readers too, but raises this only in the
  // layer that gives the value.
  [[nodiscard]] double own_noise(std::size_t layer) const;
  // By output of the twin.
  [[nodiscard]] Closeness output(std::size_t output) const;
  // By quantization of the twin: the value before it and after it alone. Of constants this is known
  // without samples.
  [[nodiscard]] Closeness rounding(std::size_t quantization) const;
  [[nodiscard]] std::uint64_t clipped(std::size_t quantization) const;
  // Of a value with one scale: how many elements were not 0, and how many of these became 0.
  struct Vanished {
    std::uint64_t nonzero = 0;
    std::uint64_t vanished = 0;
  };
  [[nodiscard]] Vanished vanished(std::size_t quantization) const;
  // What a value of the twin was, one of a layer, an output or a quantization; null when it is
  // not known: it is not float32.
  [[nodiscard]] const SeenValues* seen(ValueId reference) const;

  // How much noise each layer alone makes in the outputs: the float model runs on the samples with
  // nothing but this layer quantized. Costs a compilation and the runs for each layer.
  // `after_layer` is called with the number of layers done.
  [[nodiscard]] Result<std::vector<Closeness>> alone(
      std::span<const std::vector<Tensor>> samples,
      const std::function<void(std::size_t)>& after_layer = {}) const;

 private:
  // Two values of the twin; the other one is compared after quantization `rounding`, or as it is.
  struct Pair {
    ValueId reference = kNone;
    ValueId other = kNone;
    std::optional<std::size_t> rounding;
    ErrorSums sums;
  };
  // What is shown of the twin: one of seen_, or the other value of pairs.
  struct Tap {
    bool is_reference = false;
    ValueId value = kNone;
    std::vector<std::size_t> pairs;  // that it is the other value of, or the reference of
  };
  // What is kept of a value in a run while `pairs` pairs wait for the other one.
  struct Held {
    std::vector<float> values;
    std::size_t pairs = 0;
  };
  using HeldValues = std::map<ValueId, Held>;
  class Listener;
  using Results = std::vector<std::vector<Tensor>>;  // by sample, by output

  LayerErrors() = default;
  void add_pair(ValueId reference, ValueId other, std::optional<std::size_t> rounding);
  [[nodiscard]] Closeness of_pair(ValueId reference, ValueId other,
                                  std::optional<std::size_t> rounding) const;
  [[nodiscard]] Status add_quantizations();
  void see(ValueId reference, std::span<const float> values, float* copy, Parallel& parallel);
  void see_reference(const Tap& tap, std::span<const float> values, Parallel& parallel);
  void see_other(const Tap& tap, std::span<const float> values, Parallel& parallel);
  [[nodiscard]] std::vector<float> spare(std::size_t size);
  void release(HeldValues& held, ValueId value);
  void compare(Pair& pair, std::span<const float> reference, std::span<const float> other,
               Parallel& parallel);
  [[nodiscard]] Channels channels_of(ValueId reference) const;
  // Remembers what is tapped.
  [[nodiscard]] Graph tapped();
  [[nodiscard]] Result<Results> results_of(std::size_t layer,
                                           std::span<const std::vector<Tensor>> samples) const;

  TwinGraph twin_;
  std::vector<NamedType> inputs_;
  std::vector<NamedType> outputs_;
  ModelOptions options_;
  bool with_details_ = false;
  std::map<std::tuple<ValueId, ValueId, std::optional<std::size_t>>, std::size_t> pair_of_;
  std::vector<Pair> pairs_;
  std::map<ValueId, SeenValues> seen_;
  std::vector<ErrorSums> rounding_;  // by quantization
  std::vector<Vanished> vanished_;   // likewise
  bool counts_vanished_ = false;
  std::map<ValueId, std::vector<std::size_t>> quantizations_of_;  // by reference
  std::vector<Tap> taps_;
  std::map<ValueId, bool> channels_last_;  // in memory; of references and other values
  HeldValues held_references_;             // of the run that is going on
  HeldValues held_others_;
  std::vector<std::vector<float>> spare_;  // memory of what was held
  std::optional<Model> model_;
  std::uint64_t samples_ = 0;
};

}  // namespace enn

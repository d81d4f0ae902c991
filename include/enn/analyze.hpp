// What quantization does to a model, layer by layer, measured on samples.
//
//   ENN_ASSIGN(Analysis analysis, Analysis::create(program, quantized.exported_program()));
//   for (const auto& sample : samples) ENN_TRY(analysis(sample).status());
//   ENN_ASSIGN(const AnalysisReport report, analysis.report());
//   std::cout << report.to_text();
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// How far values are from those of the float model. NaN where nothing finite was compared.
struct ErrorFigures {
  double sqnr = 0;            // in dB; infinite where there is no error
  double cosine = 0;          // of the angle between both
  double max_difference = 0;  // the largest error
};

// How often values fell into equal parts of [low, high].
struct ValueCounts {
  double low = 0;              // of the first part
  double high = 0;             // of the last part
  std::vector<double> counts;  // empty where there were no finite values
};

// A value that is quantized: a result, an input, a weight.
struct QuantizedValue {
  std::string name;                    // in the quantized model
  double low = 0;                      // the least float value that was seen
  double high = 0;                     // the greatest
  double mean_magnitude = 0;           // of the float values
  double chosen_low = 0;               // what the integers reach; of the widest channel
  double chosen_high = 0;              // likewise
  double scale = 0;                    // of the widest channel
  std::int32_t zero_point = 0;         // likewise
  double clipped = 0;                  // share of the values that lie outside of it
  ErrorFigures rounding;               // quantized against float, nothing else in between
  ValueCounts values;                  // in float
  std::vector<double> channel_scales;  // one of each channel; empty for one scale
  // The largest magnitude in each channel; empty where the value has no channels.
  std::vector<double> channel_peaks;
};

// What would help a layer.
struct Remedy {
  // "range", "observer", "equalize", "per_channel", "separate_scales", "operand", "16_bits" or
  // "exclude".
  std::string kind;
  std::string text;  // a sentence
};

// A node, or several that are one step of the 8-bit program: a convolution, the sum after it, relu.
struct LayerAnalysis {
  std::string name;                // of the node that gives the result
  std::vector<std::string> nodes;  // all of them, in the order of execution
  std::string op;                  // of the first, such as "convolution"
  std::string target;              // the overload it was exported as, such as "aten.conv2d.default"
  std::string module_path;         // of the eager model's module, or empty
  std::string source;              // file:line of the eager model, or empty
  std::vector<std::size_t> operands;  // the layers whose results it reads
  ErrorFigures isolated;     // its operands are float values that are quantized, as are its weights
                             // and its result
  ErrorFigures accumulated;  // all before it is quantized too
  double own_noise = 0;      // noise over signal that the layer makes itself
  // Share of the noise in the outputs that is counted to it: measured where `alone` is, else
  // estimated from own_noise and from what is added to the accumulated noise.
  double contribution = 0;
  std::optional<ErrorFigures> alone;     // of the outputs when no other layer is quantized
  std::optional<QuantizedValue> result;  // absent where the result is not quantized
  std::vector<QuantizedValue> weights;   // constants
  std::vector<std::string> reads;        // the quantized values that it reads, by name
  std::vector<Remedy> remedies;          // the most promising first
};

// An output of the model.
struct OutputAnalysis {
  std::string name;    // as the float model has it
  ErrorFigures error;  // accumulated
};

// What was measured.
struct AnalysisReport {
  std::uint64_t samples = 0;            // calls
  std::vector<LayerAnalysis> layers;    // in the order of execution
  std::vector<std::size_t> ranking;     // of the layers, the largest contribution first
  std::vector<QuantizedValue> inputs;   // of the model
  std::vector<OutputAnalysis> outputs;  // of float32
  std::vector<std::pair<std::string, std::vector<OutputAnalysis>>> programs;  // others, by name

  // The `most` layers that contribute most, and the outputs.
  [[nodiscard]] std::string to_text(std::size_t most = 20) const;
  // docs/analysis.md has the schema. Printable ASCII.
  [[nodiscard]] std::string to_json() const;
  // One page without scripts and references to other files.
  [[nodiscard]] std::string to_html(const std::string& title) const;
};

// How to analyze.
struct AnalysisOptions {
  ModelOptions model;                   // `execution` has no effect
  std::size_t sensitivity_samples = 0;  // the first so many are kept, and report() measures `alone`
};

// Measures a quantized model against the float model that it was made of. What it keeps does not
// grow with the number of samples.
class Analysis {
 public:
  // Moved from, an analysis may only be assigned to or destroyed.
  Analysis(Analysis&&) noexcept;
  Analysis& operator=(Analysis&&) noexcept;
  ~Analysis();

  // InvalidArgument when `quantized` is not the float model with quantization in it: nothing in
  // both has the same name, or is the same operator of the same module.
  [[nodiscard]] static Result<Analysis> create(const ExportedProgram& floats,
                                               const ExportedProgram& quantized,
                                               const AnalysisOptions& options = {});

  // Measures one sample, and gives the float model's results. Arguments and errors as those of
  // Model::operator().
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs);

  // Compares the outputs that another program of the model gave for the sample measured last, such
  // as its `.pte`, with the float model's. InvalidArgument when they are of other types.
  [[nodiscard]] Status compare(const std::string& program, std::span<const TensorView> outputs);

  // `after_layer` is called with the layers done and their number while `alone` is measured.
  [[nodiscard]] Result<AnalysisReport> report(
      const std::function<void(std::size_t, std::size_t)>& after_layer = {}) const;

  // Of src/analysis.
  struct State;
  explicit Analysis(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

}  // namespace enn

// Accuracy-aware quantization: the settings, and the fewest layers in float, with which a metric
// stays close to the float model's.
//
//   ENN_ASSIGN(const SearchResult found, quantize_within(program, feed, evaluate, options));
//   ENN_TRY(found.quantized.exported_program().save("m_a8w8.pt2"));
//   std::cout << found.outcome.recipe();
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enn/analyze.hpp"
#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "enn/pt2e.hpp"
#include "enn/quantizer.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// What is looked for. A metric is a number that is larger for a better model.
struct SearchOptions {
  double max_drop = 0.01;            // of the float model's metric, at most
  bool relative = false;             // as a share of that metric's magnitude
  std::optional<double> min_metric;  // the bound itself, in place of max_drop
  EnnQuantizer quantizer{};          // where the search begins
  std::size_t max_layers = 0;        // that may stay in float because of the search; 0: all
  // Beyond so many evaluations no layer is tried in 8 bits again. The bound is looked for anyway.
  std::size_t max_evaluations = 48;
  // Each evaluation is kept in this file, and not made again when a search goes on with it. Empty:
  // in no file.
  std::filesystem::path resume;
  std::string subject;  // of the file, such as a hash of the model: another's file is refused
};

// A layer that may be left in float.
struct SearchLayer {
  std::string name;                  // of the node that gives its result
  std::vector<std::string> modules;  // exclude_module() of its nodes where that names one alone
  std::vector<std::string> nodes;    // exclude_node() of the others
  double contribution = 0;           // to the error of the outputs
  std::uint64_t macs = 0;            // multiplications of one sample
};

// The layers of a quantized graph that the report is of, in the order in which they are left in
// float; those without quantization are left out.
[[nodiscard]] std::vector<SearchLayer> search_layers(const AnalysisReport& report,
                                                     const Graph& quantized);

// A step of the search that made the metric better, or kept it with a layer less in float.
struct SearchDecision {
  std::string what;          // such as "observer percentile for convolutions"
  std::string why;           // a sentence
  double metric_before = 0;  // of the best configuration before it
  double metric_after = 0;   // of the configuration with it
};

// What a search ends with.
struct SearchOutcome {
  EnnQuantizer quantizer{};               // the configuration that was found
  double float_metric = 0;                // of the float model
  double metric = 0;                      // of the quantized model
  double bound = 0;                       // what the metric had to reach
  std::size_t evaluations = 0;            // those that were read from a file included
  std::vector<SearchLayer> layers;        // left in float by the search
  std::vector<SearchDecision> decisions;  // in their order

  // The quantizer's configuration with what was decided; EnnQuantizer::from_json() reads it.
  [[nodiscard]] std::string recipe() const;
};

// The search, step by step: it says what is to be measured next, and is told.
class AccuracySearch {
 public:
  // What the search asks for.
  enum class Step : std::uint8_t {
    MeasureFloat,  // tell() the float model's metric
    Evaluate,      // tell() that of the model that quantizer() makes
    Rank,          // tell() the layers of the model that quantizer() makes
    Done,          // outcome()
  };

  // An error when the options contradict each other, or their file is of another search.
  [[nodiscard]] static Result<AccuracySearch> create(SearchOptions options);

  // What is to be done next.
  [[nodiscard]] Step step() const { return step_; }
  // The configuration that the step is about.
  [[nodiscard]] const EnnQuantizer& quantizer() const { return quantizer_; }
  // In words: "observer histogram", "16 layers in float".
  [[nodiscard]] const std::string& trial() const { return trial_; }
  // Evaluations so far, and about how many there will be.
  [[nodiscard]] std::size_t evaluations() const { return evaluations_; }
  [[nodiscard]] std::size_t expected_evaluations() const;
  // One line for people: a bar, what is tried, and how long it will take after `seconds`.
  [[nodiscard]] std::string status(double seconds) const;

  // The metric that was measured; an error when it is NaN, or the file cannot be written.
  [[nodiscard]] Status tell(double metric);
  // As search_layers() gives them.
  [[nodiscard]] Status tell(std::vector<SearchLayer> layers);

  // InvalidArgument when the bound cannot be met: the message has the best metric that was found.
  // Precondition: step() is Done.
  [[nodiscard]] Result<SearchOutcome> outcome() const;

 private:
  struct Trial {
    EnnQuantizer quantizer;
    double metric = 0;
  };

  explicit AccuracySearch(SearchOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Status load();
  [[nodiscard]] Status record(const std::string& line);
  // Goes through the search from its beginning as far as the answers reach.
  void advance();
  [[nodiscard]] bool run();
  [[nodiscard]] bool choose_settings(Trial& best);
  [[nodiscard]] bool choose_layers(const Trial& best);
  // False where the answer is not known: then it is what step() asks for.
  [[nodiscard]] bool ask(const EnnQuantizer& quantizer, const std::string& trial, double& metric);
  [[nodiscard]] EnnQuantizer without(const EnnQuantizer& quantizer,
                                     std::span<const SearchLayer> layers) const;
  void end(const Trial& trial, std::vector<SearchLayer> layers);
  void give_up(double metric, std::string tried);

  SearchOptions options_;
  std::vector<std::string> lines_;  // of the file
  std::optional<double> float_metric_;
  std::map<std::string, double> metrics_;                   // by configuration
  std::map<std::string, std::vector<SearchLayer>> layers_;  // by configuration

  Step step_ = Step::MeasureFloat;
  EnnQuantizer quantizer_;
  std::string trial_;
  double bound_ = 0;
  std::size_t evaluations_ = 0;
  std::size_t measured_ = 0;    // evaluations that were told, not read
  std::size_t candidates_ = 0;  // layers that were ranked
  std::vector<SearchDecision> decisions_;
  std::optional<SearchOutcome> outcome_;
  std::string failure_;
};

// Runs a model on one sample.
using RunModel = std::function<Result<std::vector<Tensor>>(std::span<const TensorView>)>;
// Runs a model on the samples to calibrate on, all or `most` of them, best from all parts of them.
using FeedSamples = std::function<Status(const RunModel& run, std::size_t most)>;
// The metric of a model.
using EvaluateModel = std::function<Result<double>(const RunModel& run)>;

// What quantize_within() found.
struct SearchResult {
  SearchOutcome outcome;            // the configuration and its metric
  QuantizedModel quantized;         // the model that it makes
  std::uint64_t macs = 0;           // of the model
  std::uint64_t macs_in_float = 0;  // those of layers that do not run in 8 bits
};

// Searches, and quantizes with what was found. Models are evaluated as the delegate runs them.
// `progress` is called before each step with the search.
[[nodiscard]] Result<SearchResult> quantize_within(
    const ExportedProgram& program, const FeedSamples& feed, const EvaluateModel& evaluate,
    const SearchOptions& options, const ModelOptions& model_options = {},
    const std::function<void(const AccuracySearch&)>& progress = {});

// How many samples layers are ranked on.
inline constexpr std::size_t kRankingSamples = 8;

}  // namespace enn

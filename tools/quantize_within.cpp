#include "quantize_within.hpp"

#include <iostream>

#include "base/closeness.hpp"
#include "base/file_io.hpp"
#include "base/sha256.hpp"
#include "data/metrics.hpp"
#include "quantizer_options.hpp"

namespace enn::tool {
namespace {

// A metric of models on data: against labels, or against the float model's outputs.
class Evaluation {
 public:
  static Result<Evaluation> open(const ExportedProgram& program, const SearchArguments& options,
                                 const DataArguments& calibration, const RunOptions& run) {
    DataOptions data_options = calibration.options;
    if (!options.labels.empty()) data_options.labels = options.labels;
    const std::string& path = options.evaluation.empty() ? calibration.path : options.evaluation;
    ENN_ASSIGN(Dataset data, Dataset::open(path, program.inputs(), data_options));
    if (data.samples() == 0) return error(Code::InvalidArgument, path, " holds no sample");
    Evaluation out(std::move(data));
    out.metric_ = options.metric;
    if (out.metric_.empty()) out.metric_ = out.data_.has_labels() ? "top1" : "cosine";
    if (out.metric_ == "top1" && !out.data_.has_labels()) {
      return error(Code::InvalidArgument, path,
                   " has no labels for --metric top1: give --labels, or another metric");
    }
    const bool by_row = out.metric_ == "top1" || out.metric_ == "agreement";
    const Shape& shape = program.outputs().front().type.shape;
    const auto rows = static_cast<std::int64_t>(out.data_.batch_size());
    if (by_row && rows > 1 && (shape.empty() || shape.front() != rows)) {
      return error(Code::InvalidArgument, "the first output is ",
                   to_string(program.outputs().front().type),
                   ", which has no row for each of the "
                   "batch's ",
                   rows, " samples, as --metric ", out.metric_, " needs");
    }
    if (out.metric_ != "top1") {
      ModelOptions model_options;
      model_options.threads = run.threads;
      model_options.isa = run.isa;
      ENN_ASSIGN(Model model, Model::compile(program, model_options));
      out.floats_ = std::make_unique<Model>(std::move(model));
    }
    return out;
  }

  [[nodiscard]] const std::string& metric() const { return metric_; }

  Result<double> operator()(const RunModel& run) {
    TopK top_k;
    Closeness closeness;
    if (floats_) floats_->reset();
    for (std::uint64_t i = 0; i < data_.batches(); ++i) {
      ENN_ASSIGN(const Batch batch, data_.batch(i));
      if (batch.count == 0) break;
      std::vector<TensorView> views;
      for (const Tensor& input : batch.inputs) views.push_back(input.view());
      ENN_ASSIGN(const std::vector<Tensor> results, run(views));
      std::vector<Tensor> references;
      if (floats_) {
        ENN_ASSIGN(references, (*floats_)(views));
      }
      if (metric_ == "top1" || metric_ == "agreement") {
        ENN_TRY(add_rows(batch, results.front(), references, top_k));
        continue;
      }
      for (std::size_t o = 0; o < results.size(); ++o) {
        if (results[o].type.dtype != DType::Float32) continue;
        closeness.add(to_doubles(references[o].view()), to_doubles(results[o].view()));
      }
    }
    if (metric_ == "cosine") return closeness.cosine();
    return metric_ == "sqnr" ? closeness.sqnr() : top_k.top1();
  }

 private:
  explicit Evaluation(Dataset data) : data_(std::move(data)) {}

  Status add_rows(const Batch& batch, const Tensor& result, const std::vector<Tensor>& references,
                  TopK& top_k) {
    const std::vector<double> scores = to_doubles(result.view());
    const std::vector<double> right =
        references.empty() ? std::vector<double>() : to_doubles(references.front().view());
    const std::size_t size = scores.size() / data_.batch_size();
    for (std::size_t r = 0; r < batch.count; ++r) {
      std::int64_t label = 0;
      if (references.empty()) {
        ENN_ASSIGN(const Tensor known, data_.label(batch.first + r));
        const std::vector<double> values = to_doubles(known.view());
        if (values.size() != 1) {
          return error(Code::InvalidArgument, "--metric top1 takes one class number a sample, but ",
                       data_.sample_name(batch.first + r), " has ", values.size());
        }
        label = static_cast<std::int64_t>(values.front());
      } else {
        label = largest(std::span(right).subspan(r * size, size));
      }
      top_k.add(std::span(scores).subspan(r * size, size), label);
    }
    return {};
  }

  Dataset data_;
  std::string metric_;
  std::unique_ptr<Model> floats_;
};

std::string subject_of(const ExportedProgram& program, const std::string& metric,
                       const SearchArguments& options, const DataArguments& calibration) {
  const auto bytes = program.serialize();
  std::string_view archive;
  if (bytes.ok()) {
    archive = {reinterpret_cast<const char*>(bytes.value().data()), bytes.value().size()};
  }
  return sha256(str(sha256(archive), ' ', metric, ' ', calibration.path, ' ', options.evaluation,
                    ' ', options.labels, ' ', calibration.options.max_samples));
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return decimal(whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole),
                 1);
}

}  // namespace

void add_search_options(CLI::App& command, SearchArguments& options) {
  const std::string group = "Accuracy";
  command
      .add_option("--max-drop", options.max_drop,
                  "Look for the settings, and the fewest layers in float, with which the metric "
                  "drops by no more than this")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  command.add_flag("--relative", options.relative, "The drop is a share of the float metric")
      ->group(group);
  command
      .add_option("--min-metric", options.min_metric,
                  "The same with the least metric itself, such as 20 (dB) for sqnr")
      ->excludes("--max-drop")
      ->group(group);
  command
      .add_option("--metric", options.metric,
                  "top1 (with labels); agreement (same largest output as the float model), cosine "
                  "or sqnr (dB) to its outputs. Default: top1 where there are labels, else cosine")
      ->check(CLI::IsMember({"top1", "agreement", "cosine", "sqnr"}))
      ->group(group);
  command
      .add_option("--evaluation-data", options.evaluation,
                  "Samples to evaluate on, prepared as those of --calibration")
      ->group(group);
  command.add_option("--labels", options.labels, "What is right, as enn evaluate takes it")
      ->group(group);
  command.add_option("--max-layers", options.max_layers, "Leave at most N layers in float")
      ->check(CLI::PositiveNumber)
      ->group(group);
  command
      .add_option("--search-file", options.file,
                  "Keep each evaluation in this file, and go on from what it has")
      ->group(group);
}

Status check_search_options(const SearchArguments& options) {
  if (options.wanted()) return {};
  for (const auto& [name, given] :
       {std::pair("--relative", options.relative), std::pair("--metric", !options.metric.empty()),
        std::pair("--evaluation-data", !options.evaluation.empty()),
        std::pair("--labels", !options.labels.empty()),
        std::pair("--max-layers", options.max_layers != 0),
        std::pair("--search-file", !options.file.empty())}) {
    if (given) {
      return error(Code::InvalidArgument, name, " belongs to --max-drop or --min-metric");
    }
  }
  return {};
}

Result<SearchResult> search(const ExportedProgram& program, const EnnQuantizer& quantizer,
                            const SearchArguments& options, const DataArguments& calibration,
                            const RunOptions& run) {
  if (calibration.path.empty()) {
    return error(Code::InvalidArgument, "--max-drop needs samples to calibrate on: --calibration");
  }
  if (program.outputs().empty()) {
    return error(Code::InvalidArgument, "the model has no output to evaluate");
  }
  ENN_ASSIGN(Evaluation evaluation, Evaluation::open(program, options, calibration, run));
  if (options.evaluation.empty() || is_same_file(options.evaluation, calibration.path)) {
    std::cerr << "enn: the metric is measured on the samples that the model is calibrated on, and "
                 "flatters it; --evaluation-data names others\n";
  }
  SearchOptions search_options;
  if (options.max_drop) search_options.max_drop = *options.max_drop;
  search_options.min_metric = options.min_metric;
  search_options.relative = options.relative;
  search_options.quantizer = quantizer;
  search_options.max_layers = options.max_layers;
  search_options.resume = options.file;
  search_options.subject = subject_of(program, evaluation.metric(), options, calibration);
  ModelOptions model_options;
  model_options.threads = run.threads;
  model_options.isa = run.isa;
  const FeedSamples feed = [&](const RunModel& model, std::size_t most) {
    return feed_samples(program, calibration, model, most);
  };
  const auto start = std::chrono::steady_clock::now();
  const auto progress = [&](const AccuracySearch& at) {
    if (at.step() == AccuracySearch::Step::Done) return;
    const auto passed = std::chrono::steady_clock::now() - start;
    std::cerr << at.status(std::chrono::duration<double>(passed).count()) << '\n';
  };
  return quantize_within(
      program, feed, [&](const RunModel& model) { return evaluation(model); }, search_options,
      model_options, progress);
}

void print_outcome(std::ostream& out, const SearchResult& result) {
  const SearchOutcome& outcome = result.outcome;
  for (const SearchDecision& decision : outcome.decisions) {
    out << decision.what << ": " << decimal(decision.metric_before, 4) << " -> "
        << decimal(decision.metric_after, 4) << " (" << decision.why << ")\n";
  }
  out << "metric " << decimal(outcome.metric, 4) << " (float " << decimal(outcome.float_metric, 4)
      << ", bound " << decimal(outcome.bound, 4) << ") with " << outcome.layers.size()
      << (outcome.layers.size() == 1 ? " layer" : " layers") << " in float by the search, "
      << percent(result.macs_in_float, result.macs) << " % of the MACs in float; "
      << outcome.evaluations << " evaluations\n";
}

Json outcome_json(const SearchResult& result) {
  const SearchOutcome& outcome = result.outcome;
  Json layers = Json::array();
  for (const SearchLayer& layer : outcome.layers) layers.push_back(layer.name);
  Json decisions = Json::array();
  for (const SearchDecision& decision : outcome.decisions) {
    decisions.push_back({{"what", decision.what},
                         {"why", decision.why},
                         {"metric_before", number(decision.metric_before)},
                         {"metric_after", number(decision.metric_after)}});
  }
  return {{"float_metric", number(outcome.float_metric)},
          {"metric", number(outcome.metric)},
          {"bound", number(outcome.bound)},
          {"evaluations", outcome.evaluations},
          {"layers_in_float", std::move(layers)},
          {"macs", result.macs},
          {"macs_in_float", result.macs_in_float},
          {"decisions", std::move(decisions)}};
}

}  // namespace enn::tool

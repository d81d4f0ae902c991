#include <utility>

#include "enn/repair.hpp"
#include "enn/search.hpp"
#include "search/macs.hpp"

namespace enn {
namespace {

Result<QuantizedModel> quantize(const ExportedProgram& program, const EnnQuantizer& quantizer,
                                const FeedSamples& feed, const ModelOptions& options) {
  if (quantizer.repairs()) return quantize_repaired(program, quantizer, feed, options);
  ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(program, quantizer, options));
  ENN_TRY(feed([&](std::span<const TensorView> inputs) { return prepared(inputs); }, 0));
  return convert_pt2e(prepared);
}

Result<std::vector<SearchLayer>> rank(const ExportedProgram& program,
                                      const QuantizedModel& quantized, const FeedSamples& feed,
                                      const ModelOptions& options) {
  AnalysisOptions analysis_options;
  analysis_options.model = options;
  analysis_options.sensitivity_samples = kRankingSamples;
  ENN_ASSIGN(Analysis analysis,
             Analysis::create(program, quantized.exported_program(), analysis_options));
  ENN_TRY(
      feed([&](std::span<const TensorView> inputs) { return analysis(inputs); }, kRankingSamples));
  ENN_ASSIGN(const AnalysisReport report, analysis.report());
  return search_layers(report, quantized.exported_program().graph());
}

}  // namespace

Result<SearchResult> quantize_within(const ExportedProgram& program, const FeedSamples& feed,
                                     const EvaluateModel& evaluate, const SearchOptions& options,
                                     const ModelOptions& model_options,
                                     const std::function<void(const AccuracySearch&)>& progress) {
  using Step = AccuracySearch::Step;
  ENN_ASSIGN(AccuracySearch search, AccuracySearch::create(options));
  while (search.step() != Step::Done) {
    if (progress) progress(search);
    if (search.step() == Step::MeasureFloat) {
      ModelOptions in_float = model_options;
      in_float.execution = Execution::Qdq;
      ENN_ASSIGN(Model model, Model::compile(program, in_float));
      ENN_ASSIGN(const double metric,
                 evaluate([&](std::span<const TensorView> inputs) { return model(inputs); }));
      ENN_TRY(search.tell(metric));
      continue;
    }
    ENN_ASSIGN(QuantizedModel quantized,
               quantize(program, search.quantizer(), feed, model_options));
    if (search.step() == Step::Rank) {
      ENN_ASSIGN(std::vector<SearchLayer> layers, rank(program, quantized, feed, model_options));
      ENN_TRY(search.tell(std::move(layers)));
      continue;
    }
    ENN_ASSIGN(const double metric, evaluate([&](std::span<const TensorView> inputs) {
                 return quantized(inputs, Execution::Integer);
               }));
    ENN_TRY(search.tell(metric));
  }
  if (progress) progress(search);
  ENN_ASSIGN(SearchOutcome outcome, search.outcome());
  ENN_ASSIGN(QuantizedModel quantized, quantize(program, outcome.quantizer, feed, model_options));
  const MacCount macs = count_macs(quantized.exported_program().graph());
  return SearchResult{std::move(outcome), std::move(quantized), macs.all, macs.in_float};
}

}  // namespace enn

#include "analysis/analysis.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <numeric>
#include <string_view>

#include "analysis/match_nodes.hpp"
#include "analysis/remedies.hpp"
#include "archive/exported_program.hpp"
#include "base/printable.hpp"
#include "ops/constants.hpp"
#include "pt2e/fuse_batch_norms.hpp"
#include "pt2e/layer_errors.hpp"

namespace enn {
namespace {

constexpr std::size_t kShownBins = 64;

bool has(const Graph& graph, Op op) {
  return std::ranges::any_of(graph.order(), [&](NodeId id) { return graph.node(id).op == op; });
}

ErrorFigures figures_of(const Closeness& closeness) {
  return {closeness.sqnr(), closeness.cosine(), closeness.max_difference()};
}

ValueCounts counts_of(const Histogram& histogram) {
  ValueCounts out;
  if (histogram.empty) return out;
  out.low = static_cast<double>(histogram.low);
  out.high = static_cast<double>(histogram.high);
  out.counts.assign(kShownBins, 0.0);
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    out.counts[i * kShownBins / histogram.counts.size()] +=
        static_cast<double>(histogram.counts[i]);
  }
  return out;
}

// The bytes may lie at any address.
std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

std::vector<double> peaks_of_constant(const Graph& graph, ValueId id, const QuantParams& params) {
  std::vector<double> peaks;
  const auto floats = constant_floats(graph, id);
  if (!floats.ok()) return peaks;
  // A weight with one scale has channels too.
  QuantParams by_channel = params;
  const Shape& shape = graph.value(id).type.shape;
  if (by_channel.per_tensor()) by_channel.axis = 0;
  if (shape.size() < 2) return peaks;
  peaks.assign(static_cast<std::size_t>(shape[static_cast<std::size_t>(by_channel.axis)]), 0.0);
  for (std::size_t i = 0; i < floats.value().size(); ++i) {
    double& peak = peaks[quantized_channel(i, shape, by_channel)];
    peak = std::max(peak, std::fabs(static_cast<double>(floats.value()[i])));
  }
  return peaks;
}

}  // namespace

struct Analysis::State {
  // Another program, and what it gave.
  struct Program {
    std::string name;
    std::vector<ErrorSums> errors;      // by output
    std::vector<FloatSums> references;  // likewise
  };

  Graph quantized;
  LayerErrors errors;
  std::vector<std::string> outputs;
  std::size_t sensitivity_samples = 0;
  std::vector<std::vector<Tensor>> kept;
  std::vector<Tensor> last;  // results of the float model for the last sample
  std::vector<Program> programs;

  [[nodiscard]] QuantizedValue value_of(std::size_t quantization) const;
  [[nodiscard]] LayerAnalysis layer_of(std::size_t layer) const;
  void add_contributions(AnalysisReport& report) const;
};

QuantizedValue Analysis::State::value_of(std::size_t quantization) const {
  const TwinQuantization& item = errors.twin().quantizations[quantization];
  const QuantParams& params = item.params;
  const auto widest =
      static_cast<std::size_t>(std::ranges::max_element(params.scales) - params.scales.begin());
  QuantizedValue value;
  value.name = item.constant && item.reference != kNone
                   ? errors.twin().graph.value(item.reference).name
                   : quantized.value(item.value).name;
  value.scale = static_cast<double>(params.scales[widest]);
  value.zero_point = params.zero_points[widest];
  value.chosen_low = value.scale * (params.quant_min - value.zero_point);
  value.chosen_high = value.scale * (params.quant_max - value.zero_point);
  if (!params.per_tensor()) value.channel_scales.assign(params.scales.begin(), params.scales.end());
  value.rounding = figures_of(errors.rounding(quantization));
  const SeenValues* seen = errors.seen(item.reference);
  if (seen == nullptr || seen->sums.count == 0) return value;
  const auto count = static_cast<double>(seen->sums.count);
  value.low = static_cast<double>(seen->sums.low);
  value.high = static_cast<double>(seen->sums.high);
  value.mean_magnitude = seen->sums.magnitudes / count;
  value.clipped = static_cast<double>(errors.clipped(quantization)) / count;
  value.values = counts_of(seen->histogram);
  if (item.constant) {
    value.channel_peaks = peaks_of_constant(errors.twin().graph, item.reference, params);
  } else {
    value.channel_peaks.assign(seen->channel_peaks.begin(), seen->channel_peaks.end());
  }
  return value;
}

LayerAnalysis Analysis::State::layer_of(std::size_t number) const {
  const TwinLayer& item = errors.twin().layers[number];
  LayerAnalysis layer;
  layer.name = quantized.value(item.value).name;
  for (const NodeId id : item.nodes) layer.nodes.push_back(quantized.node(id).name);
  const Node& first = quantized.node(item.nodes.front());
  layer.op = std::string(to_string(first.op));
  layer.target = first.target;
  layer.module_path = module_path(first.origin);
  layer.source = portable_source(first.origin);
  layer.operands = item.operands;
  layer.isolated = figures_of(errors.isolated(number));
  layer.accumulated = figures_of(errors.accumulated(number));
  layer.own_noise = errors.own_noise(number);
  if (item.result) layer.result = value_of(*item.result);
  for (const std::size_t i : item.quantizations) {
    const TwinQuantization& quantization = errors.twin().quantizations[i];
    if (quantization.constant) {
      layer.weights.push_back(value_of(i));
    } else {
      layer.reads.push_back(quantized.value(quantization.value).name);
    }
  }
  return layer;
}

// The layer's own noise, and what the noise of all quantizations grows by in it, in parts of the
// signal: their geometric mean is what it is thought to contribute.
void Analysis::State::add_contributions(AnalysisReport& report) const {
  std::vector<double> accumulated;
  for (std::size_t i = 0; i < report.layers.size(); ++i)
    accumulated.push_back(errors.accumulated(i).noise_to_signal());
  double total = 0;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    LayerAnalysis& layer = report.layers[i];
    double before = 0;
    for (const std::size_t operand : layer.operands) {
      if (accumulated[operand] > before) before = accumulated[operand];
    }
    const double added = std::max(accumulated[i] - before, 0.0);
    const double estimate = std::sqrt(std::max(layer.own_noise, 0.0) * added);
    layer.contribution = std::isfinite(estimate) ? estimate : 0.0;
    total += layer.contribution;
  }
  if (total > 0) {
    for (LayerAnalysis& layer : report.layers) layer.contribution /= total;
  }
}

Analysis::Analysis(std::unique_ptr<State> state) : state_(std::move(state)) {}
Analysis::Analysis(Analysis&&) noexcept = default;
Analysis& Analysis::operator=(Analysis&&) noexcept = default;
Analysis::~Analysis() = default;

Result<Analysis> analyze_graphs(Graph floats, const Graph& quantized, std::vector<NamedType> inputs,
                                std::vector<NamedType> outputs,
                                const std::vector<Mutation>& mutations,
                                const AnalysisOptions& options) {
  if (has(floats, Op::Quantize) || has(floats, Op::Dequantize)) {
    return error(Code::InvalidArgument,
                 "the first model is quantized; the errors of the second are those against a float "
                 "model");
  }
  if (!has(quantized, Op::Quantize) && !has(quantized, Op::Dequantize)) {
    return error(Code::InvalidArgument,
                 "the second model has no quantize and dequantize operators: there is nothing to "
                 "analyze");
  }
  if (!has(quantized, Op::BatchNorm)) ENN_TRY(fuse_batch_norms(floats));
  std::vector<std::string> names;
  for (const NamedType& output : outputs) names.push_back(output.name);
  ENN_ASSIGN(LayerErrors errors,
             LayerErrors::create(floats, quantized, match_nodes(floats, quantized),
                                 std::move(inputs), std::move(outputs), mutations, options.model,
                                 /*with_details=*/true));
  if (errors.twin().layers.empty()) {
    return error(Code::InvalidArgument,
                 "no layer of the quantized model is one of the float model: they are no two forms "
                 "of one model");
  }
  return Analysis(std::make_unique<Analysis::State>(Analysis::State{
      quantized, std::move(errors), std::move(names), options.sensitivity_samples, {}, {}, {}}));
}

Result<Analysis> Analysis::create(const ExportedProgram& floats, const ExportedProgram& quantized,
                                  const AnalysisOptions& options) {
  ENN_ASSIGN(const ExportedProgram transformed, transform_for_annotation(floats));
  return analyze_graphs(transformed.graph(), quantized.graph(), transformed.inputs(),
                        transformed.outputs(), transformed.mutations(), options);
}

Result<std::vector<Tensor>> Analysis::operator()(std::span<const TensorView> inputs) {
  ENN_ASSIGN(std::vector<Tensor> outputs, state_->errors(inputs));
  if (state_->kept.size() < state_->sensitivity_samples) {
    std::vector<Tensor> sample;
    for (const TensorView& input : inputs)
      sample.push_back({input.type, {input.bytes.begin(), input.bytes.end()}});
    state_->kept.push_back(std::move(sample));
  }
  state_->last = outputs;
  return outputs;
}

Status Analysis::compare(const std::string& program, std::span<const TensorView> outputs) {
  const std::vector<Tensor>& last = state_->last;
  if (outputs.size() != last.size()) {
    return error(Code::InvalidArgument, "'", printable_text(program), "' gave ", outputs.size(),
                 " outputs for the last sample, the float model ", last.size());
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].type == last[i].type) continue;
    return error(Code::InvalidArgument, "output ", i, " of '", printable_text(program), "' is ",
                 to_string(outputs[i].type), ", the float model's is ", to_string(last[i].type));
  }
  auto found = std::ranges::find(state_->programs, program, &State::Program::name);
  if (found == state_->programs.end()) {
    state_->programs.push_back(
        {program, std::vector<ErrorSums>(outputs.size()), std::vector<FloatSums>(outputs.size())});
    found = state_->programs.end() - 1;
  }
  SerialParallel serial;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].type.dtype != DType::Float32) continue;
    const std::vector<float> reference = floats_of(last[i].bytes);
    found->errors[i].add(errors_of(reference, floats_of(outputs[i].bytes), nullptr, serial));
    found->references[i].add(sums_of(reference, serial));
  }
  return {};
}

Result<AnalysisReport> Analysis::report(
    const std::function<void(std::size_t, std::size_t)>& after_layer) const {
  const State& state = *state_;
  const TwinGraph& twin = state.errors.twin();
  if (state.errors.samples() == 0)
    return error(Code::InvalidArgument, "the analysis has seen no sample");
  AnalysisReport report;
  report.samples = state.errors.samples();
  for (std::size_t i = 0; i < twin.layers.size(); ++i) report.layers.push_back(state.layer_of(i));
  const std::vector<ValueId>& inputs = state.quantized.inputs();
  std::vector<ValueId> listed;
  for (std::size_t i = 0; i < twin.quantizations.size(); ++i) {
    const ValueId value = twin.quantizations[i].value;
    if (std::ranges::find(inputs, value) == inputs.end() ||
        std::ranges::find(listed, value) != listed.end()) {
      continue;
    }
    listed.push_back(value);
    report.inputs.push_back(state.value_of(i));
  }
  for (std::size_t i = 0; i < twin.outputs.size(); ++i) {
    // The outputs of both are those of the caller, then what the model keeps.
    const std::size_t index = twin.outputs[i].index;
    const ValueId value = state.quantized.outputs()[index];
    report.outputs.push_back(
        {state.quantized.value(value).name, figures_of(state.errors.output(i))});
  }
  if (report.outputs.size() == state.outputs.size()) {
    for (std::size_t i = 0; i < report.outputs.size(); ++i)
      report.outputs[i].name = state.outputs[i];
  }
  for (const State::Program& program : state.programs) {
    std::vector<OutputAnalysis> outputs;
    for (std::size_t i = 0; i < program.errors.size(); ++i) {
      if (state.last[i].type.dtype != DType::Float32) continue;
      outputs.push_back(
          {state.outputs[i], figures_of(closeness_of(program.references[i], program.errors[i]))});
    }
    report.programs.emplace_back(program.name, std::move(outputs));
  }
  state.add_contributions(report);
  if (!state.kept.empty()) {
    const std::size_t layers = report.layers.size();
    ENN_ASSIGN(const std::vector<Closeness> alone,
               state.errors.alone(state.kept, [&](std::size_t done) {
                 if (after_layer) after_layer(done, layers);
               }));
    double total = 0;
    for (std::size_t i = 0; i < layers; ++i) {
      const double noise = alone[i].noise_to_signal();
      report.layers[i].alone = figures_of(alone[i]);
      report.layers[i].contribution = std::isfinite(noise) ? noise : 0.0;
      total += report.layers[i].contribution;
    }
    for (LayerAnalysis& layer : report.layers) {
      if (total > 0) layer.contribution /= total;
    }
  }
  const Surroundings surroundings(report);
  for (LayerAnalysis& layer : report.layers) layer.remedies = remedies_of(layer, surroundings);
  report.ranking.resize(report.layers.size());
  std::iota(report.ranking.begin(), report.ranking.end(), std::size_t{0});
  std::ranges::sort(report.ranking, [&](std::size_t a, std::size_t b) {
    const double first = report.layers[a].contribution;
    const double second = report.layers[b].contribution;
    return first > second || (first == second && a < b);
  });
  return report;
}

}  // namespace enn

#include "pt2e/layer_errors.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <string>

#include "ops/constants.hpp"

namespace enn {
namespace {

constexpr std::size_t kNoLayer = SIZE_MAX;

std::vector<double> doubles_of(const Tensor& tensor) {
  std::vector<float> floats(tensor.bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), tensor.bytes.data(), tensor.bytes.size());
  return {floats.begin(), floats.end()};
}

// Rounds a constant channel by channel.
Status add_rounding(const Graph& graph, const TwinQuantization& quantization, ErrorSums& sums) {
  ENN_ASSIGN(const std::vector<float> floats, constant_floats(graph, quantization.reference));
  SerialParallel serial;
  const QuantParams& params = quantization.params;
  if (params.per_tensor()) {
    sums.add(errors_of(floats, floats, &params, serial));
    return {};
  }
  const Shape& shape = graph.value(quantization.reference).type.shape;
  std::vector<std::vector<float>> channels(params.scales.size());
  for (std::size_t i = 0; i < floats.size(); ++i)
    channels[quantized_channel(i, shape, params)].push_back(floats[i]);
  for (std::size_t c = 0; c < channels.size(); ++c) {
    QuantParams one = params;
    one.axis = -1;
    one.scales = {params.scales[c]};
    one.zero_points = {params.zero_points[c]};
    sums.add(errors_of(channels[c], channels[c], &one, serial));
  }
  return {};
}

void add_vanished(std::span<const float> values, float scale, LayerErrors::Vanished& counts) {
  constexpr std::size_t kCounted = 4096;  // counts of 32 bits, which vectorize
  const float half_step = scale / 2;
  for (std::size_t begin = 0; begin < values.size(); begin += kCounted) {
    std::uint32_t nonzero = 0;
    std::uint32_t vanished = 0;
    for (const float value : values.subspan(begin, std::min(kCounted, values.size() - begin))) {
      const float magnitude = std::fabs(value);
      nonzero += magnitude > 0.0F ? 1U : 0U;
      vanished += ((magnitude > 0.0F) & (magnitude < half_step)) ? 1U : 0U;
    }
    counts.nonzero += nonzero;
    counts.vanished += vanished;
  }
}

// The elements of a tensor of rank 4 in the other order of memory: images with their channels last,
// or first again.
std::vector<float> reordered(std::span<const float> values, const Shape& shape,
                             bool to_channels_last) {
  const auto channels = static_cast<std::size_t>(shape[1]);
  const auto pixels = static_cast<std::size_t>(shape[2] * shape[3]);
  std::vector<float> out(values.size());
  for (std::size_t image = 0; image < values.size(); image += channels * pixels) {
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) {
        const std::size_t first = image + c * pixels + p;
        const std::size_t last = image + p * channels + c;
        (to_channels_last ? out[last] : out[first]) = values[to_channels_last ? first : last];
      }
    }
  }
  return out;
}

// The dimension along which the channels of a value lie: the second of images, else the last.
std::optional<std::size_t> channel_axis(const Graph& graph, ValueId value) {
  const std::size_t rank = graph.value(value).type.shape.size();
  if (rank < 2) return std::nullopt;
  if (rank == 2 || rank > 5) return rank - 1;
  std::vector<NodeId> around = graph.users(value);
  if (graph.value(value).producer != kNone) around.push_back(graph.value(value).producer);
  const auto any = [&](std::initializer_list<Op> ops) {
    return std::ranges::any_of(
        around, [&](NodeId id) { return std::ranges::find(ops, graph.node(id).op) != ops.end(); });
  };
  if (any({Op::Convolution, Op::BatchNorm, Op::MaxPool2d, Op::AvgPool2d})) return 1;
  if (rank == 3 || any({Op::Linear, Op::MatMul, Op::LayerNorm, Op::RmsNorm})) return rank - 1;
  return 1;
}

}  // namespace

Closeness closeness_of(const FloatSums& references, const ErrorSums& errors) {
  Closeness closeness;
  closeness.add({references.squares, errors.squares, errors.errors, errors.largest,
                 references.largest(), errors.count, errors.not_finite});
  return closeness;
}

class LayerErrors::Listener final : public ExecutionListener {
 public:
  explicit Listener(LayerErrors& errors) : errors_(errors) {}

  void on_tap(std::uint32_t number, std::span<const float> values,
              Parallel& parallel) noexcept override {
    const Tap& tap = errors_.taps_[number];
    if (tap.is_reference) {
      errors_.see_reference(tap, values, parallel);
    } else {
      errors_.see_other(tap, values, parallel);
    }
  }

 private:
  LayerErrors& errors_;
};

Result<LayerErrors> LayerErrors::create(const Graph& floats, const Graph& quantized,
                                        std::span<const NodeId> float_nodes,
                                        std::vector<NamedType> inputs,
                                        std::vector<NamedType> outputs,
                                        const std::vector<Mutation>& mutations,
                                        const ModelOptions& options, bool with_details) {
  LayerErrors errors;
  ENN_ASSIGN(errors.twin_, make_twin_graph(floats, quantized, float_nodes, mutations));
  errors.inputs_ = std::move(inputs);
  errors.outputs_ = std::move(outputs);
  errors.options_ = options;
  errors.options_.execution = Execution::Qdq;
  errors.with_details_ = with_details;
  for (const TwinLayer& layer : errors.twin_.layers) {
    errors.add_pair(layer.reference, layer.isolated, layer.result);
    errors.add_pair(layer.reference, layer.accumulated, layer.result);
  }
  for (const TwinOutput& output : errors.twin_.outputs)
    errors.add_pair(output.reference, output.accumulated, std::nullopt);
  ENN_TRY(errors.add_quantizations());
  const Graph graph = errors.tapped();
  ENN_ASSIGN(errors.model_, Model::compile_graph(graph, errors.inputs_, errors.outputs_,
                                                 errors.options_, errors.twin_.mutations));
  for (std::size_t i = 0; i < errors.taps_.size(); ++i) {
    errors.channels_last_[errors.taps_[i].value] = !errors.model_->tap_orders()[i].empty();
  }
  return errors;
}

void LayerErrors::add_pair(ValueId reference, ValueId other, std::optional<std::size_t> rounding) {
  seen_.try_emplace(reference);
  if (reference == other) return;
  const auto [place, added] =
      pair_of_.emplace(std::tuple(reference, other, rounding), pairs_.size());
  if (added) pairs_.push_back({reference, other, rounding, {}});
}

Status LayerErrors::add_quantizations() {
  rounding_.resize(twin_.quantizations.size());
  vanished_.resize(twin_.quantizations.size());
  SerialParallel serial;
  for (std::size_t i = 0; i < twin_.quantizations.size(); ++i) {
    const TwinQuantization& quantization = twin_.quantizations[i];
    if (quantization.reference == kNone) continue;
    const auto [place, added] = seen_.try_emplace(quantization.reference);
    if (!twin_.graph.value(quantization.reference).is_constant()) {
      if (quantization.params.per_tensor()) quantizations_of_[quantization.reference].push_back(i);
      continue;
    }
    ENN_TRY(add_rounding(twin_.graph, quantization, rounding_[i]));
    if (!added) continue;
    ENN_ASSIGN(const std::vector<float> floats,
               constant_floats(twin_.graph, quantization.reference));
    see(quantization.reference, floats, nullptr, serial);
  }
  return {};
}

Graph LayerErrors::tapped() {
  Graph graph = twin_.graph;
  std::map<ValueId, std::vector<std::size_t>> pairs_of;  // by reference
  std::map<ValueId, std::vector<std::size_t>> others;
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    pairs_of[pairs_[i].reference].push_back(i);
    others[pairs_[i].other].push_back(i);
  }
  for (const auto& [reference, values] : seen_) {
    if (graph.value(reference).is_constant()) continue;
    (void)graph.add_tap(reference);
    taps_.push_back({true, reference, pairs_of[reference]});
  }
  for (const auto& [other, pairs] : others) {
    (void)graph.add_tap(other);
    taps_.push_back({false, other, pairs});
  }
  graph.erase_unused();
  return graph;
}

Channels LayerErrors::channels_of(ValueId reference) const {
  if (!with_details_ || !quantizations_of_.contains(reference)) return {};
  const std::optional<std::size_t> axis = channel_axis(twin_.graph, reference);
  if (!axis) return {};
  const Shape& shape = twin_.graph.value(reference).type.shape;
  Channels channels{static_cast<std::size_t>(shape[*axis]), 1};
  if (channels_last_.at(reference) && *axis == 1) return channels;
  // Where images lie with their channels last, their last dimension is the third of four.
  const bool last_moves = channels_last_.at(reference) && *axis + 1 == shape.size();
  if (last_moves) channels.stride = static_cast<std::size_t>(shape[1]);
  for (std::size_t i = *axis + 1; i < shape.size(); ++i)
    channels.stride *= static_cast<std::size_t>(shape[i]);
  return channels;
}

void LayerErrors::see(ValueId reference, std::span<const float> values, float* copy,
                      Parallel& parallel) {
  std::vector<std::size_t> quantizations;
  if (const auto found = quantizations_of_.find(reference); found != quantizations_of_.end())
    quantizations = found->second;
  std::vector<const QuantParams*> params;
  for (const std::size_t i : quantizations) params.push_back(&twin_.quantizations[i].params);
  const ValueSums sums = sums_and_roundings(values, params, channels_of(reference), copy, parallel);
  SeenValues& seen = seen_.at(reference);
  seen.channel_peaks.resize(sums.peaks.size());
  for (std::size_t c = 0; c < sums.peaks.size(); ++c)
    seen.channel_peaks[c] = std::max(seen.channel_peaks[c], sums.peaks[c]);
  seen.sums.add(sums.values);
  for (std::size_t i = 0; i < quantizations.size(); ++i) {
    rounding_[quantizations[i]].add(sums.rounded[i]);
    if (counts_vanished_) add_vanished(values, params[i]->scale(), vanished_[quantizations[i]]);
  }
  if (with_details_ && sums.values.count > 0 && has_bins(seen.sums.low, seen.sums.high))
    add_values(seen.histogram, values, sums.values.low, sums.values.high, parallel);
}

void LayerErrors::see_reference(const Tap& tap, std::span<const float> values, Parallel& parallel) {
  std::vector<float> copy;
  if (!tap.pairs.empty()) copy = spare(values.size());
  see(tap.value, values, copy.empty() ? nullptr : copy.data(), parallel);
  if (tap.pairs.empty()) return;
  held_references_[tap.value] = {std::move(copy), tap.pairs.size()};
  // Others that came first.
  for (const std::size_t i : tap.pairs) {
    const auto found = held_others_.find(pairs_[i].other);
    if (found == held_others_.end()) continue;
    compare(pairs_[i], values, found->second.values, parallel);
    release(held_others_, pairs_[i].other);
    release(held_references_, tap.value);
  }
}

void LayerErrors::see_other(const Tap& tap, std::span<const float> values, Parallel& parallel) {
  std::size_t waiting = 0;
  for (const std::size_t i : tap.pairs) {
    const auto found = held_references_.find(pairs_[i].reference);
    if (found == held_references_.end()) {
      ++waiting;
      continue;
    }
    compare(pairs_[i], found->second.values, values, parallel);
    release(held_references_, pairs_[i].reference);
  }
  if (waiting == 0) return;
  std::vector<float> copy = spare(values.size());
  std::ranges::copy(values, copy.begin());
  held_others_[tap.value] = {std::move(copy), waiting};
}

void LayerErrors::compare(Pair& pair, std::span<const float> reference,
                          std::span<const float> other, Parallel& parallel) {
  const QuantParams* params = pair.rounding ? &twin_.quantizations[*pair.rounding].params : nullptr;
  const bool to_channels_last = channels_last_.at(pair.other);
  if (to_channels_last == channels_last_.at(pair.reference)) {
    pair.sums.add(errors_of(reference, other, params, parallel));
    return;
  }
  const Shape& shape = twin_.graph.value(pair.reference).type.shape;
  pair.sums.add(errors_of(reordered(reference, shape, to_channels_last), other, params, parallel));
}

std::vector<float> LayerErrors::spare(std::size_t size) {
  std::vector<float> memory;
  if (!spare_.empty()) {
    memory = std::move(spare_.back());
    spare_.pop_back();
  }
  memory.resize(size);
  return memory;
}

void LayerErrors::release(HeldValues& held, ValueId value) {
  const auto found = held.find(value);
  if (--found->second.pairs > 0) return;
  spare_.push_back(std::move(found->second.values));
  held.erase(found);
}

Result<std::vector<Tensor>> LayerErrors::operator()(std::span<const TensorView> inputs) {
  held_references_.clear();
  held_others_.clear();
  Listener listener(*this);
  ENN_ASSIGN(std::vector<Tensor> outputs, (*model_)(inputs, &listener));
  ++samples_;
  return outputs;
}

Closeness LayerErrors::of_pair(ValueId reference, ValueId other,
                               std::optional<std::size_t> rounding) const {
  const FloatSums& references = seen_.at(reference).sums;
  ErrorSums errors{references.squares, 0, 0, 0, references.count, references.not_finite};
  if (const auto found = pair_of_.find({reference, other, rounding}); found != pair_of_.end()) {
    errors = pairs_[found->second].sums;
  } else if (rounding) {
    errors = rounding_[*rounding];
  }
  return closeness_of(references, errors);
}

Closeness LayerErrors::isolated(std::size_t layer) const {
  const TwinLayer& item = twin_.layers[layer];
  return of_pair(item.reference, item.isolated, item.result);
}

Closeness LayerErrors::accumulated(std::size_t layer) const {
  const TwinLayer& item = twin_.layers[layer];
  return of_pair(item.reference, item.accumulated, item.result);
}

double LayerErrors::own_noise(std::size_t layer) const {
  // Noise and signal do not pass through a layer alike: of what comes in, up to this many times as
  // much goes out of an ordinary one.
  constexpr double kOrdinaryGain = 4.0;
  const TwinLayer& item = twin_.layers[layer];
  double given = 0;
  double own = item.result ? rounding(*item.result).noise_to_signal() : 0.0;
  const auto add_given = [&](double noise) { given += noise > 0.0 ? noise : 0.0; };
  for (const std::size_t i : item.quantizations) {
    const double noise = rounding(i).noise_to_signal();
    if (!twin_.quantizations[i].constant) {
      add_given(noise);
    } else if (noise > own) {
      own = noise;
    }
  }
  for (const std::size_t i : item.unquantized) add_given(isolated(i).noise_to_signal());
  return std::max(isolated(layer).noise_to_signal() - kOrdinaryGain * given, own);
}

Closeness LayerErrors::output(std::size_t output) const {
  const TwinOutput& item = twin_.outputs[output];
  return of_pair(item.reference, item.accumulated, std::nullopt);
}

Closeness LayerErrors::rounding(std::size_t quantization) const {
  const SeenValues* values = seen(twin_.quantizations[quantization].reference);
  return values == nullptr ? Closeness() : closeness_of(values->sums, rounding_[quantization]);
}

LayerErrors::Vanished LayerErrors::vanished(std::size_t quantization) const {
  return vanished_[quantization];
}

void LayerErrors::clear() {
  samples_ = 0;
  for (Pair& pair : pairs_) pair.sums = {};
  for (auto& [reference, seen] : seen_) {
    if (!twin_.graph.value(reference).is_constant()) seen = {};
  }
  for (std::size_t i = 0; i < rounding_.size(); ++i) {
    const ValueId reference = twin_.quantizations[i].reference;
    if (reference == kNone || twin_.graph.value(reference).is_constant()) continue;
    rounding_[i] = {};
    vanished_[i] = {};
  }
}

std::uint64_t LayerErrors::clipped(std::size_t quantization) const {
  return rounding_[quantization].clipped;
}

const SeenValues* LayerErrors::seen(ValueId reference) const {
  const auto found = seen_.find(reference);
  return found == seen_.end() ? nullptr : &found->second;
}

Result<LayerErrors::Results> LayerErrors::results_of(
    std::size_t layer, std::span<const std::vector<Tensor>> samples) const {
  Graph graph = twin_.graph;
  std::vector<ValueId> outputs = graph.outputs();
  if (layer != kNoLayer) {
    const ValueId reference = twin_.layers[layer].reference;
    const ValueId isolated = twin_.layers[layer].isolated_result;
    for (const NodeId reader : graph.users(reference)) {
      if (reader >= twin_.float_nodes) continue;
      std::vector<ValueId>& inputs = graph.node(reader).inputs;
      std::replace(inputs.begin(), inputs.end(), reference, isolated);
    }
    std::replace(outputs.begin(), outputs.end(), reference, isolated);
  }
  graph.set_outputs(std::move(outputs));
  graph.erase_unused();
  ENN_ASSIGN(Model model,
             Model::compile_graph(graph, inputs_, outputs_, options_, twin_.mutations));
  Results results;
  for (const std::vector<Tensor>& sample : samples) {
    std::vector<TensorView> views;
    for (const Tensor& input : sample) views.push_back(input.view());
    ENN_ASSIGN(std::vector<Tensor> result, model(views));
    results.push_back(std::move(result));
  }
  return results;
}

Result<std::vector<Closeness>> LayerErrors::alone(
    std::span<const std::vector<Tensor>> samples,
    const std::function<void(std::size_t)>& after_layer) const {
  std::vector<Closeness> out;
  ENN_ASSIGN(const Results references, results_of(kNoLayer, samples));
  for (std::size_t layer = 0; layer < twin_.layers.size(); ++layer) {
    ENN_ASSIGN(const Results results, results_of(layer, samples));
    Closeness closeness;
    for (std::size_t sample = 0; sample < results.size(); ++sample) {
      for (std::size_t i = 0; i < results[sample].size(); ++i) {
        if (results[sample][i].type.dtype != DType::Float32) continue;
        closeness.add(doubles_of(references[sample][i]), doubles_of(results[sample][i]));
      }
    }
    out.push_back(closeness);
    if (after_layer) after_layer(layer + 1);
  }
  return out;
}

}  // namespace enn

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
Status add_rounding(const Graph& graph, const TwinQuantization& quantization, RoundingSums& sums) {
  ENN_ASSIGN(const std::vector<float> floats, constant_floats(graph, quantization.reference));
  SerialParallel serial;
  const QuantParams& params = quantization.params;
  if (params.per_tensor()) {
    sums.add(rounding_of(floats, params, serial));
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
    sums.add(rounding_of(channels[c], one, serial));
  }
  return {};
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

class LayerErrors::Listener final : public ExecutionListener {
 public:
  explicit Listener(LayerErrors& errors) : errors_(errors) {}

  void on_tap(std::uint32_t number, std::span<const float> values,
              Parallel& parallel) noexcept override {
    const Tap& tap = errors_.taps_[number];
    if (tap.kind == Tap::Kind::Reference) {
      errors_.see(tap.reference, values, parallel);
    } else if (tap.kind == Tap::Kind::Peaks) {
      errors_.see_peaks(tap.reference, values);
    } else {
      Pair& pair = errors_.pairs_[tap.pair];
      if (tap.kind == Tap::Kind::Values) {
        pair.values.add(squares_of(values, parallel));
      } else {
        pair.differences.add(sums_of(values, parallel));
      }
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
    errors.add_pair(layer.reference, layer.isolated);
    errors.add_pair(layer.reference, layer.accumulated);
  }
  for (const TwinOutput& output : errors.twin_.outputs)
    errors.add_pair(output.reference, output.accumulated);
  ENN_TRY(errors.add_quantizations());
  const Graph graph = errors.tapped();
  ENN_ASSIGN(errors.model_, Model::compile_graph(graph, errors.inputs_, errors.outputs_,
                                                 errors.options_, errors.twin_.mutations));
  return errors;
}

void LayerErrors::add_pair(ValueId reference, ValueId other) {
  seen_.try_emplace(reference);
  if (reference == other) return;
  const auto [place, added] = pair_of_.emplace(std::pair(reference, other), pairs_.size());
  if (added) pairs_.push_back({reference, other, {}, {}});
}

Status LayerErrors::add_quantizations() {
  rounding_.resize(twin_.quantizations.size());
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
    see(quantization.reference, floats, serial);
  }
  return {};
}

Graph LayerErrors::tapped() {
  Graph graph = twin_.graph;
  const std::vector<NodeId> order = graph.order();
  std::vector<std::size_t> places(graph.node_count());
  for (std::size_t i = 0; i < order.size(); ++i) places[order[i]] = i;
  const auto after = [&](ValueId value) {
    const NodeId producer = graph.value(value).producer;
    return producer == kNone ? 0 : places[producer] + 1;
  };
  const auto add = [&](ValueId value, const Tap& tap) {
    (void)graph.add_tap(value);
    taps_.push_back(tap);
  };
  for (const auto& [reference, values] : seen_) {
    if (graph.value(reference).is_constant()) continue;
    add(reference, {Tap::Kind::Reference, reference, 0});
    const std::size_t place = after(reference);
    if (with_details_ && quantizations_of_.contains(reference))
      tap_peaks(graph, reference, place == order.size() ? kNone : order[place]);
  }
  // A difference has one order in memory, whatever those of its operands are.
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    const auto& [reference, other, values, differences] = pairs_[i];
    const std::size_t place = std::max(after(reference), after(other));
    const std::string name = str("difference.", i);
    const std::vector<TensorType> types{graph.value(reference).type};
    const NodeId node =
        place == order.size()
            ? graph.add_node(Op::Sub, name, {reference, other}, types)
            : graph.insert_node(order[place], Op::Sub, name, {reference, other}, types);
    add(graph.node(node).outputs.front(), {Tap::Kind::Differences, reference, i});
    add(other, {Tap::Kind::Values, reference, i});
  }
  return graph;
}

void LayerErrors::tap_peaks(Graph& graph, ValueId reference, NodeId before) {
  const std::optional<std::size_t> axis = channel_axis(graph, reference);
  if (!axis) return;
  const Shape shape = graph.value(reference).type.shape;
  // Dimensions before the channels are left to see_peaks() where others follow: a reduction over
  // neighbours needs no change of layout.
  const bool last = *axis + 1 == shape.size();
  std::vector<std::int64_t> dims;
  Shape kept;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (last ? i < *axis : i > *axis) {
      dims.push_back(static_cast<std::int64_t>(i));
    } else {
      kept.push_back(shape[i]);
    }
  }
  for (const Op op : {Op::Amin, Op::Amax}) {
    Attributes attrs;
    attrs.set("dims", dims);
    attrs.set("keepdim", false);
    const std::string name = str(to_string(op), ".of.", reference);
    const std::vector<TensorType> types{{DType::Float32, kept}};
    const NodeId node = before == kNone
                            ? graph.add_node(op, name, {reference}, types, attrs)
                            : graph.insert_node(before, op, name, {reference}, types, attrs);
    (void)graph.add_tap(graph.node(node).outputs.front());
    taps_.push_back({Tap::Kind::Peaks, reference, 0});
  }
  seen_.at(reference).channel_peaks.assign(static_cast<std::size_t>(shape[*axis]), 0.0F);
}

void LayerErrors::see_peaks(ValueId reference, std::span<const float> values) {
  std::vector<float>& peaks = seen_.at(reference).channel_peaks;
  for (std::size_t i = 0; i < values.size(); ++i) {
    float& peak = peaks[i % peaks.size()];
    const float magnitude = std::fabs(values[i]);
    if (std::isfinite(magnitude) && magnitude > peak) peak = magnitude;
  }
}

void LayerErrors::see(ValueId reference, std::span<const float> values, Parallel& parallel) {
  SeenValues& seen = seen_.at(reference);
  const FloatSums sums = sums_of(values, parallel);
  seen.sums.add(sums);
  if (const auto found = quantizations_of_.find(reference); found != quantizations_of_.end()) {
    for (const std::size_t i : found->second)
      rounding_[i].add(rounding_of(values, twin_.quantizations[i].params, parallel));
  }
  if (with_details_ && sums.count > 0 && has_bins(seen.sums.low, seen.sums.high))
    add_values(seen.histogram, values, sums.low, sums.high, parallel);
}

Result<std::vector<Tensor>> LayerErrors::operator()(std::span<const TensorView> inputs) {
  Listener listener(*this);
  ENN_ASSIGN(std::vector<Tensor> outputs, (*model_)(inputs, &listener));
  ++samples_;
  return outputs;
}

Closeness LayerErrors::of_pair(ValueId reference, ValueId other) const {
  const FloatSums& references = seen_.at(reference).sums;
  Closeness::Sums sums;
  sums.reference_squares = references.squares;
  sums.largest_reference = references.largest();
  sums.value_squares = references.squares;
  sums.count = references.count;
  sums.not_finite = references.not_finite;
  if (const auto found = pair_of_.find({reference, other}); found != pair_of_.end()) {
    const Pair& pair = pairs_[found->second];
    sums.value_squares = pair.values.squares;
    sums.error_squares = pair.differences.squares;
    sums.max_difference = pair.differences.largest();
    sums.count = pair.differences.count;
    sums.not_finite = pair.differences.not_finite;
  }
  Closeness closeness;
  closeness.add(sums);
  return closeness;
}

Closeness LayerErrors::isolated(std::size_t layer) const {
  return of_pair(twin_.layers[layer].reference, twin_.layers[layer].isolated);
}

Closeness LayerErrors::accumulated(std::size_t layer) const {
  return of_pair(twin_.layers[layer].reference, twin_.layers[layer].accumulated);
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
  return of_pair(twin_.outputs[output].reference, twin_.outputs[output].accumulated);
}

Closeness LayerErrors::rounding(std::size_t quantization) const {
  Closeness closeness;
  const SeenValues* values = seen(twin_.quantizations[quantization].reference);
  if (values == nullptr) return closeness;
  const RoundingSums& rounding = rounding_[quantization];
  Closeness::Sums sums;
  sums.reference_squares = values->sums.squares;
  sums.value_squares = rounding.result_squares;
  sums.error_squares = rounding.error_squares;
  sums.max_difference = rounding.max_difference;
  sums.largest_reference = values->sums.largest();
  sums.count = values->sums.count;
  sums.not_finite = values->sums.not_finite;
  closeness.add(sums);
  return closeness;
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
    const ValueId isolated = twin_.layers[layer].isolated;
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

#include "pt2e/equalization.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "pt2e/float_sums.hpp"

namespace enn {
namespace {

// A channel of range r in a tensor of range R is divided by sqrt(r / R): half of the way to the
// range of the others, so that the weights that read it keep half of theirs.
constexpr double kExponent = 0.5;
// A channel is never magnified more than 8 times (the square root of 64).
constexpr double kSmallestShare = 1.0 / 64;
// A clamped channel may later reach what no sample has shown: it is taken to reach twice as far,
// and one that most samples show small, or not at all, as far as the tensor does.
constexpr double kMargin = 2;
constexpr double kTypicalShare = 0.25;

bool is_own_constant(const Graph& graph, ValueId id) {
  return is_float_constant(graph, id) && graph.users(id).size() == 1 && !graph.is_output(id);
}

// A layer whose weight and bias can be changed without changing anything else.
bool is_free_layer(const Graph& graph, const Node& node) {
  if (node.op != Op::Convolution && node.op != Op::Linear) return false;
  if (node.op == Op::Convolution && node.attrs.boolean("transposed")) return false;
  const ValueId bias = node.inputs[2];
  return is_own_constant(graph, node.inputs[1]) && (bias == kNone || is_own_constant(graph, bias));
}

// f(a x) = a f(x) for every a > 0, but for an upper bound, which sets `bounded`.
bool is_homogeneous(const Node& node, bool& bounded) {
  switch (node.op) {
    case Op::Identity:
    case Op::Relu:
    case Op::LeakyRelu:
      return true;
    case Op::Clamp:
      if (!node.attrs.has("min") || node.attrs.number("min") != 0.0) return false;
      bounded = bounded || node.attrs.has("max");
      return true;
    default:
      return false;
  }
}

// The dimension of the channels that a layer of this kind gives or reads.
std::size_t channel_axis(const Node& layer, std::size_t rank, std::size_t weight_rank) {
  return layer.op == Op::Linear ? rank - 1 : rank - (weight_rank - 2) - 1;
}

}  // namespace

class Equalizer::Listener final : public ExecutionListener {
 public:
  explicit Listener(std::vector<EqualizedTensor>& tensors) : tensors_(tensors) {}

  void on_tap(std::uint32_t tap, std::span<const float> values,
              Parallel& parallel) noexcept override {
    EqualizedTensor& tensor = tensors_[tap];
    const ValueSums seen =
        sums_and_roundings(values, {}, {tensor.channels, tensor.stride}, nullptr, parallel);
    for (std::size_t c = 0; c < tensor.channels; ++c) {
      tensor.peaks[c] = std::max(tensor.peaks[c], seen.peaks[c]);
      tensor.sums[c] += static_cast<double>(seen.peaks[c]);
    }
  }

 private:
  std::vector<EqualizedTensor>& tensors_;
};

Result<Equalizer> Equalizer::create(const Graph& graph, std::vector<NamedType> inputs,
                                    std::vector<NamedType> outputs,
                                    const std::vector<Mutation>& mutations,
                                    const ModelOptions& options) {
  Equalizer equalizer;
  equalizer.graph_ = graph;
  Graph tapped = graph;
  std::vector<std::size_t> axes;
  for (const NodeId id : graph.order()) {
    const Node& layer = graph.node(id);
    if (!is_free_layer(graph, layer)) continue;
    EqualizedTensor tensor;
    tensor.layer = id;
    ValueId value = layer.outputs.front();
    tensor.readers = graph.users(value);
    while (tensor.readers.size() == 1 && !graph.is_output(value) &&
           is_homogeneous(graph.node(tensor.readers.front()), tensor.bounded)) {
      value = graph.node(tensor.readers.front()).outputs.front();
      tensor.readers = graph.users(value);
    }
    const bool fits =
        !tensor.readers.empty() && !graph.is_output(value) &&
        std::ranges::all_of(tensor.readers, [&](NodeId reader) {
          const Node& node = graph.node(reader);
          return node.op == layer.op && is_free_layer(graph, node) && node.inputs[0] == value;
        });
    if (!fits) continue;
    const Shape& shape = graph.value(value).type.shape;
    const std::size_t weight_rank = graph.value(layer.inputs[1]).type.shape.size();
    axes.push_back(channel_axis(layer, shape.size(), weight_rank));
    tensor.channels = static_cast<std::size_t>(shape[axes.back()]);
    tensor.peaks.resize(tensor.channels);
    tensor.sums.resize(tensor.channels);
    equalizer.tensors_.push_back(std::move(tensor));
    (void)tapped.add_tap(value);
  }
  ModelOptions float_options = options;
  float_options.execution = Execution::Qdq;
  ENN_ASSIGN(equalizer.model_, Model::compile_graph(tapped, std::move(inputs), std::move(outputs),
                                                    float_options, mutations));
  for (std::size_t i = 0; i < equalizer.tensors_.size(); ++i) {
    const Shape& shape = graph.value(tapped.taps()[i]).type.shape;
    DimOrder order = equalizer.model_->tap_orders()[i];
    for (std::size_t d = order.size(); d < shape.size(); ++d)
      order.push_back(static_cast<std::uint8_t>(d));
    const auto axis = std::ranges::find(order, static_cast<std::uint8_t>(axes[i]));
    std::size_t& stride = equalizer.tensors_[i].stride;
    for (auto d = axis + 1; d < order.end(); ++d) stride *= static_cast<std::size_t>(shape[*d]);
  }
  return equalizer;
}

Result<std::vector<Tensor>> Equalizer::operator()(std::span<const TensorView> inputs) {
  Listener listener(tensors_);
  ENN_ASSIGN(std::vector<Tensor> outputs, (*model_)(inputs, &listener));
  ++samples_;
  return outputs;
}

std::vector<float> Equalizer::factors(const EqualizedTensor& tensor) const {
  std::vector<float> factors(tensor.channels, 1.0F);
  const double range =
      static_cast<double>(*std::max_element(tensor.peaks.begin(), tensor.peaks.end()));
  if (!(range > 0) || !std::isfinite(range)) return factors;
  for (std::size_t c = 0; c < tensor.channels; ++c) {
    auto reach = static_cast<double>(tensor.peaks[c]);
    if (reach == 0) continue;
    if (tensor.bounded) {
      const double typical = tensor.sums[c] / static_cast<double>(samples_);
      reach = typical < kTypicalShare * reach ? range : std::min(range, kMargin * reach);
    }
    factors[c] = static_cast<float>(std::pow(std::max(reach / range, kSmallestShare), kExponent));
  }
  return factors;
}

Result<std::map<ValueId, std::vector<float>>> Equalizer::constants() const {
  std::map<ValueId, std::vector<float>> constants;
  if (samples_ == 0) return constants;
  const auto elements = [&](ValueId id) -> Result<std::vector<float>*> {
    const auto [place, added] = constants.try_emplace(id);
    if (added) {
      ENN_ASSIGN(place->second, constant_floats(graph_, id));
    }
    return &place->second;
  };
  for (const EqualizedTensor& tensor : tensors_) {
    const std::vector<float> by_channel = factors(tensor);
    const Node& layer = graph_.node(tensor.layer);
    ENN_ASSIGN(std::vector<float>* const weight, elements(layer.inputs[1]));
    const std::size_t row = weight->size() / tensor.channels;
    for (std::size_t i = 0; i < weight->size(); ++i) (*weight)[i] /= by_channel[i / row];
    if (layer.inputs[2] != kNone) {
      ENN_ASSIGN(std::vector<float>* const bias, elements(layer.inputs[2]));
      for (std::size_t c = 0; c < tensor.channels; ++c) (*bias)[c] /= by_channel[c];
    }
    for (const NodeId reader : tensor.readers) {
      const Node& node = graph_.node(reader);
      const Shape& shape = graph_.value(node.inputs[1]).type.shape;
      ENN_ASSIGN(std::vector<float>* const read, elements(node.inputs[1]));
      const auto per_group = static_cast<std::size_t>(shape[1]);
      const auto groups = static_cast<std::size_t>(node.attrs.integer("groups", 1));
      const std::size_t rows_of_group = static_cast<std::size_t>(shape[0]) / groups;
      const std::size_t columns = read->size() / static_cast<std::size_t>(shape[0]);
      const std::size_t taps = columns / per_group;
      for (std::size_t i = 0; i < read->size(); ++i) {
        const std::size_t group = i / columns / rows_of_group;
        (*read)[i] *= by_channel[group * per_group + i % columns / taps];
      }
    }
  }
  return constants;
}

}  // namespace enn

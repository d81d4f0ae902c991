#include "pt2e/bias_correction.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

// The annotation of an operand; null when it has none.
const Spec* spec_of(const Annotation& annotation, ValueId operand) {
  const auto found = std::find_if(annotation.inputs.begin(), annotation.inputs.end(),
                                  [&](const auto& input) { return input.first == operand; });
  return found == annotation.inputs.end() ? nullptr : &found->second;
}

// Places along one axis, of `count`, at which tap * dilation - pad + place * stride lies in
// [0, limit).
std::int64_t places_inside(std::int64_t count, std::int64_t limit, std::int64_t offset,
                           std::int64_t stride) {
  std::int64_t inside = 0;
  for (std::int64_t place = 0; place < count; ++place) {
    const std::int64_t at = place * stride + offset;
    inside += at >= 0 && at < limit ? 1 : 0;
  }
  return inside;
}

std::vector<double> meetings_of(const Node& node, const Shape& in, const Shape& out,
                                const Shape& weight) {
  std::vector<double> meetings = {1.0};
  const std::size_t spatial = weight.size() - 2;
  if (spatial == 0) return meetings;
  const auto& stride = node.attrs.integers("stride");
  const auto& dilation = node.attrs.integers("dilation");
  const auto& pads = node.attrs.integers("pads");
  const bool transposed = node.attrs.boolean("transposed");
  for (std::size_t axis = 0; axis < spatial; ++axis) {
    const std::int64_t size = in[in.size() - spatial + axis];
    const std::int64_t result = out[out.size() - spatial + axis];
    std::vector<double> wider;
    for (const double before : meetings) {
      for (std::int64_t tap = 0; tap < weight[2 + axis]; ++tap) {
        const std::int64_t offset = tap * dilation[axis] - pads[axis];
        const std::int64_t inside = transposed ? places_inside(size, result, offset, stride[axis])
                                               : places_inside(result, size, offset, stride[axis]);
        wider.push_back(before * static_cast<double>(inside) / static_cast<double>(result));
      }
    }
    meetings = std::move(wider);
  }
  return meetings;
}

}  // namespace

BiasCorrection::BiasCorrection(const Graph& graph, NodeId node) : node_(node) {
  const Node& layer = graph.node(node);
  const Shape& in = graph.value(layer.inputs[0]).type.shape;
  weight_shape_ = graph.value(layer.inputs[1]).type.shape;
  transposed_ = layer.attrs.boolean("transposed");
  groups_ = static_cast<std::size_t>(layer.attrs.integer("groups", 1));
  const std::size_t spatial = weight_shape_.size() - 2;
  channel_axis_ = static_cast<int>(in.size() - spatial - 1);
  channels_ = static_cast<std::size_t>(in[static_cast<std::size_t>(channel_axis_)]);
  meetings_ = meetings_of(layer, in, graph.value(layer.outputs[0]).type.shape, weight_shape_);
  sums_.resize(channels_);
}

void BiasCorrection::add(std::span<const float> means) noexcept {
  if (means.size() != channels_ ||
      !std::all_of(means.begin(), means.end(), [](float mean) { return std::isfinite(mean); })) {
    return;
  }
  for (std::size_t c = 0; c < channels_; ++c) sums_[c] += static_cast<double>(means[c]);
  ++samples_;
}

void BiasCorrection::add_values(std::span<const float> values, const Shape& shape) {
  const auto axis = static_cast<std::size_t>(channel_axis_);
  if (axis >= shape.size() || static_cast<std::size_t>(shape[axis]) != channels_) return;
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= static_cast<std::size_t>(shape[i]);
  std::vector<double> sums(channels_);
  for (std::size_t i = 0; i < values.size(); i += inner) {
    double& sum = sums[i / inner % channels_];
    for (std::size_t j = 0; j < inner; ++j) sum += static_cast<double>(values[i + j]);
  }
  const double count = static_cast<double>(values.size()) / static_cast<double>(channels_);
  std::vector<float> means(channels_);
  std::transform(sums.begin(), sums.end(), means.begin(),
                 [&](double sum) { return static_cast<float>(sum / count); });
  add(means);
}

void BiasCorrection::merge(const BiasCorrection& other) {
  std::transform(sums_.begin(), sums_.end(), other.sums_.begin(), sums_.begin(), std::plus<>());
  samples_ += other.samples_;
}

std::vector<float> BiasCorrection::corrected(std::span<const float> bias,
                                             std::span<const float> weight,
                                             std::span<const float> rounded) const {
  std::vector<float> result(bias.begin(), bias.end());
  if (samples_ == 0) return result;
  const std::size_t taps = meetings_.size();
  const auto second = static_cast<std::size_t>(weight_shape_[1]);
  const std::size_t first_per_group = static_cast<std::size_t>(weight_shape_[0]) / groups_;
  std::vector<double> shift(bias.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double error = static_cast<double>(rounded[i]) - static_cast<double>(weight[i]);
    const std::size_t row = i / (second * taps);
    const std::size_t column = i / taps % second;
    const std::size_t across = row / first_per_group * second + column;  // of all groups
    const std::size_t in = transposed_ ? row : across;
    const std::size_t out = transposed_ ? across : row;
    shift[out] += error * meetings_[i % taps] * sums_[in];
  }
  for (std::size_t c = 0; c < result.size(); ++c) {
    const double corrected =
        static_cast<double>(bias[c]) - shift[c] / static_cast<double>(samples_);
    if (std::isfinite(corrected)) result[c] = static_cast<float>(corrected);
  }
  return result;
}

nlohmann::json BiasCorrection::save() const { return {{"sums", sums_}, {"samples", samples_}}; }

Status BiasCorrection::load(const nlohmann::json& state) {
  const auto sums = state.find("sums");
  ENN_ASSIGN(const std::uint64_t samples, count_from(state, "samples"));
  if (sums == state.end() || !sums->is_array() || sums->size() != channels_ ||
      !std::all_of(sums->begin(), sums->end(), [](const auto& sum) { return sum.is_number(); })) {
    return error(Code::InvalidArgument, "'sums' is not a list of ", channels_, " numbers");
  }
  sums_ = sums->template get<std::vector<double>>();
  samples_ = samples;
  return {};
}

bool has_quantized_weight(const Graph& graph, const Annotations& annotations, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != Op::Convolution && node.op != Op::Linear) return false;
  const auto& annotation = annotations.node(id);
  if (!annotation || graph.value(node.inputs[0]).is_constant() ||
      spec_of(*annotation, node.inputs[0]) == nullptr) {
    return false;
  }
  const Spec* weight = spec_of(*annotation, node.inputs[1]);
  return weight != nullptr && std::holds_alternative<QuantizationSpec>(*weight) &&
         is_float_constant(graph, node.inputs[1]);
}

std::vector<BiasCorrection> bias_corrections(const Graph& graph, const EnnQuantizer& quantizer,
                                             const Annotations& annotations) {
  std::vector<BiasCorrection> corrections;
  if (!quantizer.corrects_biases()) return corrections;
  for (const NodeId id : graph.order()) {
    if (!has_quantized_weight(graph, annotations, id)) continue;
    const ValueId bias = graph.node(id).inputs[2];
    if (!is_float_constant(graph, bias) || spec_of(*annotations.node(id), bias) != nullptr)
      continue;
    corrections.emplace_back(graph, id);
  }
  return corrections;
}

ValueId add_channel_means(Graph& graph, const BiasCorrection& correction, NodeId layer) {
  const ValueId input = graph.node(layer).inputs[0];
  const TensorType& type = graph.value(input).type;
  std::vector<std::int64_t> dims;
  for (int i = 0; i < static_cast<int>(type.shape.size()); ++i) {
    if (i != correction.channel_axis()) dims.push_back(i);
  }
  const std::string name = graph.node(layer).name + "_means";
  const Shape shape = {static_cast<std::int64_t>(correction.channels())};
  const DType dtype = type.dtype;
  Attributes attrs;
  attrs.set("dims", std::move(dims));
  attrs.set("keepdim", false);
  const NodeId mean = graph.insert_node(layer, Op::Mean, name, {input}, {TensorType{dtype, shape}},
                                        std::move(attrs));
  return graph.node(mean).outputs.front();
}

}  // namespace enn

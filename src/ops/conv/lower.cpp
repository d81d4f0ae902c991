// Convolution, and linear as a 1x1 convolution over [1, 1, rows, in].
#include <cmath>

#include "ops/constants.hpp"
#include "ops/conv/conv.hpp"
#include "ops/ops.hpp"
#include "ops/program_builder.hpp"
#include "ops/unary/unary.hpp"

namespace enn {
namespace {

// What a convolution needs beyond its tensors' types, in the program's terms.
struct Window {
  Shape weight_shape;  // [K, R, S, C / groups]
  std::int64_t groups = 1;
  std::vector<std::int64_t> stride{1, 1};
  std::vector<std::int64_t> dilation{1, 1};
  std::vector<std::int64_t> pads{0, 0, 0, 0};
};

template <typename TableT>
void set_window(TableT& op, const Window& window) {
  op.groups = static_cast<std::uint32_t>(window.groups);
  op.stride_h = static_cast<std::uint32_t>(window.stride[0]);
  op.stride_w = static_cast<std::uint32_t>(window.stride[1]);
  op.dilation_h = static_cast<std::uint32_t>(window.dilation[0]);
  op.dilation_w = static_cast<std::uint32_t>(window.dilation[1]);
  op.pad_top = static_cast<std::uint32_t>(window.pads[0]);
  op.pad_left = static_cast<std::uint32_t>(window.pads[1]);
}

// KCRS -> KRSC.
template <typename T>
std::vector<T> channels_last_weight(std::vector<T> source, const Window& window) {
  const auto k = static_cast<std::size_t>(window.weight_shape[0]);
  const auto taps = static_cast<std::size_t>(window.weight_shape[1] * window.weight_shape[2]);
  const auto c = static_cast<std::size_t>(window.weight_shape[3]);
  if (taps == 1 || c == 1) return source;
  std::vector<T> out(source.size());
  for (std::size_t ik = 0; ik < k; ++ik) {
    for (std::size_t ic = 0; ic < c; ++ic) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        out[(ik * taps + tap) * c + ic] = source[(ik * c + ic) * taps + tap];
      }
    }
  }
  return out;
}

Status lower_quantized(const Graph& graph, const Node& node, ProgramBuilder& builder,
                       const Window& window, std::vector<std::int8_t> weight,
                       const Shape& input_shape, const Shape& output_shape) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  const QuantParams& weight_quant = *graph.value(node.inputs[1]).quant;
  const auto channels = static_cast<std::size_t>(window.weight_shape[0]);
  ENN_ASSIGN(std::vector<float> bias, constant_floats_or(graph, node.inputs[2], channels, 0.0F));
  // real = acc * scale_x * scale_w + bias, in steps of the output: divided by scale_y. In double,
  // rounded once.
  std::vector<float> multiplier(channels);
  const std::vector<double> factors = output_scale(node);
  const double step = static_cast<double>(output.quant->scale());
  for (std::size_t i = 0; i < channels; ++i) {
    const float weight_scale = weight_quant.scales[weight_quant.per_tensor() ? 0 : i];
    multiplier[i] = static_cast<float>(static_cast<double>(input.quant->scale()) *
                                       static_cast<double>(weight_scale) *
                                       (factors.empty() ? 1.0 : factors[i]) / step);
    bias[i] = static_cast<float>(static_cast<double>(bias[i]) / step);
  }
  program::Conv2DT op;
  set_window(op, window);
  op.input = builder.read_as(node.inputs[0], input_shape);
  op.weight = builder.constant(program::DType_Int8, window.weight_shape, std::move(weight));
  op.multiplier = builder.constant_f32(multiplier);
  op.bias = builder.constant_f32(bias);
  op.output = builder.write_as(node.outputs[0], output_shape);
  op.weight_zero_point = weight_quant.per_tensor() ? weight_quant.zero_point() : 0;
  const StoredRange range = stored_range(output, node.attrs);
  op.output_min = static_cast<std::uint8_t>(range.minimum);
  op.output_max = static_cast<std::uint8_t>(range.maximum);
  if (has_residual(node)) {
    const ValueId residual = node.inputs[kResidual];
    op.residual = builder.read_as(residual, output_shape);
    op.residual_multiplier =
        static_cast<float>(static_cast<double>(graph.value(residual).quant->scale()) / step);
  }
  if (const AttributeValue* slopes = node.attrs.find("slopes")) {
    const auto& values = std::get<std::vector<double>>(*slopes);
    std::vector<float> slope(channels, static_cast<float>(values.front()));
    for (std::size_t i = 0; i < channels && values.size() > 1; ++i)
      slope[i] = static_cast<float>(values[i]);
    op.slope = builder.constant_f32(slope);
  } else if (node.attrs.has("function")) {
    const auto function = op_from_string(node.attrs.text("function"));
    op.function = function ? unary_kind(*function) : std::nullopt;
    op.function_alpha = static_cast<float>(node.attrs.number("function_alpha"));
  }
  builder.emit(node, std::move(op));
  return {};
}

Status lower_float(const Graph& graph, const Node& node, ProgramBuilder& builder,
                   const Window& window, std::vector<float> weight, const Shape& input_shape,
                   const Shape& output_shape) {
  const auto channels = static_cast<std::size_t>(window.weight_shape[0]);
  ENN_ASSIGN(std::vector<float> bias, constant_floats_or(graph, node.inputs[2], channels, 0.0F));
  program::Conv2DF32T op;
  set_window(op, window);
  op.input = builder.read_as(node.inputs[0], input_shape);
  op.weight = builder.constant(program::DType_Float32, window.weight_shape, std::move(weight));
  op.bias = builder.constant_f32(bias);
  op.output = builder.write_as(node.outputs[0], output_shape);
  const FloatRange range = float_range(node.attrs);
  op.activation_min = range.minimum;
  op.activation_max = range.maximum;
  builder.emit(node, std::move(op));
  return {};
}

Status lower_window(const Graph& graph, const Node& node, ProgramBuilder& builder,
                    const Window& window, const Shape& input_shape, const Shape& output_shape) {
  const Value& weight = graph.value(node.inputs[1]);
  if (!weight.quant) {
    ENN_ASSIGN(std::vector<float> values, constant_floats(graph, node.inputs[1]));
    const std::vector<double> factors = output_scale(node);
    const std::size_t per_channel =
        values.size() / static_cast<std::size_t>(window.weight_shape[0]);
    for (std::size_t i = 0; i < values.size() && !factors.empty(); ++i)
      values[i] *= static_cast<float>(factors[i / per_channel]);
    return lower_float(graph, node, builder, window,
                       channels_last_weight(std::move(values), window), input_shape, output_shape);
  }
  ENN_ASSIGN(std::vector<std::int8_t> values, constant_int8(graph, node.inputs[1]));
  return lower_quantized(graph, node, builder, window,
                         channels_last_weight(std::move(values), window), input_shape,
                         output_shape);
}

}  // namespace

Status lower_conv(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  Window window;
  window.weight_shape = {weight[0], weight[2], weight[3], weight[1]};
  window.groups = node.attrs.integer("groups", 1);
  window.stride = node.attrs.integers("stride");
  window.dilation = node.attrs.integers("dilation");
  window.pads = node.attrs.integers("pads");
  return lower_window(graph, node, builder, window, physical_shape(graph.value(node.inputs[0])),
                      physical_shape(graph.value(node.outputs[0])));
}

Status lower_linear(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  Window window;
  window.weight_shape = {weight[0], 1, 1, weight[1]};
  const std::int64_t rows = numel(graph.value(node.inputs[0]).type.shape) / weight[1];
  return lower_window(graph, node, builder, window, {1, 1, rows, weight[1]},
                      {1, 1, rows, weight[0]});
}

}  // namespace enn

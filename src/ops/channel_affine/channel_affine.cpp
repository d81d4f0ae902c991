// ChannelAffine: operands input, constants scale [C] and shift [C]: input * scale[c] + shift[c].
// Attribute dim is the channels' dimension: the last, or 1 of [N, C, H, W]. What the compiler makes
// of a batch norm, or of a product and a sum with constants, between a dequantize and a quantize; a
// depthwise convolution of 1 x 1 computes it.
#include <array>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

bool is_image(const Graph& graph, const Node& node) {
  return graph.value(node.inputs[0]).type.shape.size() == 4 && node.attrs.integer("dim") == 1;
}

}  // namespace

Result<std::vector<TensorType>> infer_channel_affine(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3) return error(Code::InvalidGraph, "expected input, scale and shift");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim", -1));
  const std::size_t rank = input.shape.size();
  if (dim >= rank || (dim + 1 != rank && !is_image(graph, node))) {
    return error(Code::InvalidGraph, "dim ", node.attrs.integer("dim", -1),
                 " is not the channels' dimension of ", list_str(input.shape));
  }
  for (std::size_t i = 1; i < 3; ++i) {
    if (graph.value(node.inputs[i]).type.shape != Shape{input.shape[dim]}) {
      return error(Code::InvalidGraph, "operand ", i, " does not have one element per channel of ",
                   list_str(input.shape));
    }
  }
  return std::vector<TensorType>{input};
}

std::optional<std::string> support_channel_affine(const Graph& graph, const Node& node) {
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_channel_affine(const Graph& graph, NodeId node, const QuantizationConfig& config,
                             Annotations& annotations) {
  annotate_first(graph, node, config, annotations);
}

Traits traits_channel_affine(const Graph& graph, const Node& node) {
  return {.layout = is_image(graph, node) ? LayoutRule::ChannelsLast : LayoutRule::Contiguous,
          .quantized = QuantizedForm::Computes,
          .parameters_from = 1};
}

Status lower_channel_affine(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  ENN_ASSIGN(std::vector<float> scale, constant_floats(graph, node.inputs[1]));
  ENN_ASSIGN(std::vector<float> shift, constant_floats(graph, node.inputs[2]));
  const auto channels = static_cast<std::int64_t>(scale.size());
  const Shape shape{1, 1, numel(input.type.shape) / channels, channels};
  const auto set_window = [&](auto& op) {
    op.input = builder.read_as(node.inputs[0], shape);
    op.output = builder.write_as(node.outputs[0], shape);
    op.groups = static_cast<std::uint32_t>(channels);
  };
  if (!output.quant) {
    program::Conv2DF32T op;
    set_window(op);
    op.weight = builder.constant(program::DType_Float32, {channels, 1, 1, 1},
                                 std::as_bytes(std::span(scale)));
    op.bias = builder.constant_f32(shift);
    const FloatRange range = float_range(node.attrs);
    op.activation_min = range.minimum;
    op.activation_max = range.maximum;
    builder.emit(node, std::move(op));
    return {};
  }
  const double input_scale = static_cast<double>(input.quant->scale());
  const double output_scale = static_cast<double>(output.quant->scale());
  for (float& value : scale) {
    value = static_cast<float>(input_scale * static_cast<double>(value) / output_scale);
  }
  divide_by_scale(output, shift);
  const std::vector<std::int8_t> ones(scale.size(), 1);
  program::Conv2DT op;
  set_window(op);
  op.weight = builder.constant(program::DType_Int8, {channels, 1, 1, 1}, bytes_of(ones));
  op.multiplier = builder.constant_f32(scale);
  op.bias = builder.constant_f32(shift);
  const StoredRange range = stored_range(output, node.attrs);
  op.output_min = static_cast<std::uint8_t>(range.minimum);
  op.output_max = static_cast<std::uint8_t>(range.maximum);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

#include "ops/qdq/qdq.hpp"

#include <array>
#include <cmath>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {

Result<QuantParams> quant_params(const Graph& graph, const Node& node) {
  QuantParams params;
  params.quant_min = static_cast<std::int32_t>(node.attrs.integer("quant_min"));
  params.quant_max = static_cast<std::int32_t>(node.attrs.integer("quant_max"));
  if (!node.attrs.has("axis")) {
    params.scales = {static_cast<float>(node.attrs.number("scale"))};
    params.zero_points = {static_cast<std::int32_t>(node.attrs.integer("zero_point"))};
    return QuantParams(std::move(params));
  }
  params.axis = static_cast<int>(node.attrs.integer("axis"));
  ENN_ASSIGN(params.scales, constant_floats(graph, node.inputs[1]));
  params.zero_points.assign(params.scales.size(), 0);
  if (node.inputs[2] != kNone) {
    ENN_ASSIGN(const auto zero_points, constant_integers(graph, node.inputs[2]));
    params.zero_points.assign(zero_points.begin(), zero_points.end());
  }
  return QuantParams(std::move(params));
}

Result<std::vector<TensorType>> infer_qdq(const Graph& graph, const Node& node) {
  if (node.inputs.empty()) return error(Code::InvalidGraph, "expected an operand");
  const auto dtype = dtype_from_string(node.attrs.text("dtype"));
  if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
  if (node.attrs.has("axis") && node.inputs.size() > 1) {
    const auto axis = static_cast<std::size_t>(node.attrs.integer("axis"));
    const Shape& shape = graph.value(node.inputs[0]).type.shape;
    const std::int64_t scales = numel(graph.value(node.inputs[1]).type.shape);
    if (axis < shape.size() && shape[axis] >= 0 && scales != shape[axis]) {
      return error(Code::InvalidGraph, "it has ", scales, " scales for ", shape[axis],
                   " channels; was the model calibrated before it was converted?");
    }
  }
  return std::vector<TensorType>{{*dtype, graph.value(node.inputs[0]).type.shape}};
}

std::optional<std::string> support_qdq(const Graph& graph, const Node& node) {
  const TensorType& input = graph.value(node.inputs[0]).type;
  const TensorType& output = graph.value(node.outputs[0]).type;
  const TensorType& real = node.op == Op::Quantize ? input : output;
  const TensorType& integer = node.op == Op::Quantize ? output : input;
  if (real.dtype != DType::Float32 && real.dtype != DType::Float16)
    return str("its real side is ", to_string(real.dtype), ", not float32 or float16");
  const bool byte = integer.dtype == DType::Int8 || integer.dtype == DType::UInt8;
  const bool constant = is_constant_expression(graph, node.inputs[0]);
  if (!byte && !(constant && integer.dtype == DType::Int32)) {
    return str("its integer side is ", to_string(integer.dtype), ", not 8 bits");
  }
  if (numel(input.shape) == 0) return "its operand is empty";
  const auto params = quant_params(graph, node);
  if (!params.ok()) return "its scales or zero points are computed at run time";
  for (const float scale : params.value().scales) {
    if (!std::isfinite(scale) || scale <= 0.0F) return str("its scale ", scale, " is not positive");
  }
  if (!params.value().per_tensor()) {
    const auto channels =
        static_cast<std::size_t>(input.shape[static_cast<std::size_t>(params.value().axis)]);
    if (params.value().scales.size() != channels || params.value().zero_points.size() != channels)
      return str("it has ", params.value().scales.size(), " scales for ", channels, " channels");
  }
  if (!params.value().per_tensor() && !constant)
    return "per-channel quantization of an activation is not taken";
  return std::nullopt;
}

void annotate_qdq(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

// Between real and quantized the step permutes as it goes; a change of quantization does not.
Traits traits_qdq(const Graph& graph, const Node& node) {
  const bool requantizes = node.op == Op::Quantize && graph.value(node.inputs[0]).quant.has_value();
  return {requantizes ? LayoutRule::Same : LayoutRule::Free, QuantizedForm::None};
}

// Quantize from float; a Quantize of an already quantized value changes its quantization.
Status lower_qdq(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  std::vector<std::uint32_t> perm = layout_permutation(input, output);
  if (node.op == Op::Dequantize) {
    program::DequantizeT op;
    op.input = builder.read(node.inputs[0]);
    op.output = builder.write(node.outputs[0]);
    op.perm = std::move(perm);
    builder.emit(node, std::move(op));
    return {};
  }
  if (input.quant) return lower_table(graph, node, builder, [](float x) { return x; });
  const QuantParams& quant = *output.quant;
  const std::int32_t offset = storage_offset(output.type.dtype);
  program::QuantizeT op;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.perm = std::move(perm);
  op.inv_scale = inverse_scale(quant.scale());
  op.quant_min = quant.quant_min + offset;
  op.quant_max = quant.quant_max + offset;
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "ops/conv/execute_geometry.hpp"

namespace enn {
namespace {

// The accumulator stays inside int32 whatever the input holds.
Status check_accumulator(const ConvGeometry& g, std::span<const std::byte> weight,
                         std::int32_t weight_zero_point) {
  std::int64_t largest = 0;
  for (const std::byte byte : weight) {
    largest = std::max<std::int64_t>(largest,
                                     std::abs(static_cast<std::int8_t>(byte) - weight_zero_point));
  }
  if (g.depth() <= INT32_MAX / (255 * std::max<std::int64_t>(largest, 1))) return {};
  return error(Code::InvalidProgram, "Conv2D sums ", g.depth(),
               " products per output, which can overflow 32 bits");
}

// The residual's tensor, or null when the operator adds none.
Result<const TensorInfo*> bind_residual(const program::Conv2D& op, Binder& binder,
                                        const TensorInfo& output) {
  if (op.residual() == UINT32_MAX) return nullptr;
  ENN_ASSIGN(const TensorInfo* residual, binder.tensor(op.residual()));
  ENN_TRY(check_dtype("Conv2D residual", *residual, {program::DType_UInt8}));
  ENN_TRY(check_quantization("Conv2D residual", *residual));
  ENN_TRY(check_not_in_place("Conv2D residual", *residual, output));
  if (residual->shape != output.shape) {
    return error(Code::InvalidProgram, "Conv2D has residual ", list_str(residual->shape),
                 " and output ", list_str(output.shape), ", which differ");
  }
  if (!std::isfinite(op.residual_multiplier()))
    return error(Code::InvalidProgram, "Conv2D has a residual_multiplier that is not finite");
  return residual;
}

Result<ConvFunction> function_of(const program::Conv2D& op, const TensorInfo& output) {
  if (!op.function()) return ConvFunction{};
  if (!std::isfinite(op.function_alpha()))
    return error(Code::InvalidProgram, "Conv2D has a function_alpha that is not finite");
  const auto function = [&](ConvGate gate, bool multiplies) {
    return conv_function(gate, multiplies, output.scale, op.function_alpha());
  };
  switch (*op.function()) {
    case program::UnaryKind_LeakyRelu:
      return function(ConvGate::Slope, true);
    case program::UnaryKind_Hardsigmoid:
      return function(ConvGate::Hard, false);
    case program::UnaryKind_Hardswish:
      return function(ConvGate::Hard, true);
    case program::UnaryKind_Sigmoid:
      return function(ConvGate::Logistic, false);
    case program::UnaryKind_Silu:
      return function(ConvGate::Logistic, true);
    case program::UnaryKind_Gelu:
      return function(ConvGate::Normal, true);
    case program::UnaryKind_GeluTanh:
      return function(ConvGate::CubicLogistic, true);
    default:
      return error(Code::InvalidProgram, "Conv2D has function ", static_cast<int>(*op.function()),
                   ", which it cannot apply");
  }
}

// The constants with one value for each output channel, and the function that uses the slopes.
struct Channels {
  std::vector<float> multiplier;
  std::vector<float> bias;
  std::vector<float> slopes;
  ConvFunction function;
};

Result<Channels> bind_channels(const program::Conv2D& op, Binder& binder, std::int64_t count,
                               const TensorInfo& output) {
  Channels out;
  ENN_ASSIGN(out.function, function_of(op, output));
  ENN_ASSIGN(out.multiplier,
             shared_float_constant("Conv2D multiplier", binder, op.multiplier(), count));
  ENN_ASSIGN(out.bias, shared_float_constant("Conv2D bias", binder, op.bias(), count));
  if (op.slope() == UINT32_MAX) return Channels(std::move(out));
  if (op.function()) return error(Code::InvalidProgram, "Conv2D has a function beside its slopes");
  ENN_ASSIGN(out.slopes, shared_float_constant("Conv2D slope", binder, op.slope(), count));
  out.function = conv_function(ConvGate::Slope, true, output.scale);
  return Channels(std::move(out));
}

// What is packed of them, and of the weight for the zero point of the input.
Result<PackSource> channel_source(const program::Conv2D& op, Binder& binder,
                                  const PackSource& weight, std::int32_t input_zero_point) {
  std::string packing = str("channels of ", weight.name, " zero point ", input_zero_point);
  for (const std::uint32_t id : {op.bias(), op.slope()}) {
    if (id == UINT32_MAX) continue;
    ENN_ASSIGN(const TensorInfo* tensor, binder.tensor(id));
    packing += str(' ', tensor->offset);
  }
  ENN_ASSIGN(const TensorInfo* multiplier, binder.tensor(op.multiplier()));
  ENN_ASSIGN(auto packed, binder.packed_constant(*multiplier, packing));
  return PackSource(std::move(packed.source));
}

}  // namespace

Result<OperatorPtr> bind_conv2d(const program::Conv2D& op, Binder& binder) {
  ENN_ASSIGN(const ConvOperands operands,
             bind_conv_operands("Conv2D", op, binder, op.weight_zero_point()));
  const TensorInfo& input = *operands.input;
  const TensorInfo& output = *operands.output;
  const ConvGeometry& g = operands.geometry;
  ENN_TRY(check_dtype("Conv2D input", input, {program::DType_UInt8}));
  ENN_TRY(check_dtype("Conv2D weight", *operands.weight, {program::DType_Int8}));
  ENN_TRY(check_dtype("Conv2D output", output, {program::DType_UInt8}));
  ENN_TRY(check_quantization("Conv2D input", input));
  ENN_TRY(check_quantization("Conv2D output", output));
  ENN_ASSIGN(const Channels channels, bind_channels(op, binder, g.out_c, output));
  if (op.weight_zero_point() < -128 || op.weight_zero_point() > 127) {
    return error(Code::InvalidProgram, "Conv2D has weight zero point ", op.weight_zero_point(),
                 ", outside int8");
  }
  if (op.output_min() > op.output_max()) {
    return error(Code::InvalidProgram, "Conv2D has output_min above output_max");
  }
  const auto& [weight_bytes, first, source] = operands.packed;
  if (first) ENN_TRY(check_accumulator(g, weight_bytes, op.weight_zero_point()));

  ConvProblem problem;
  problem.geometry = g;
  problem.weight = reinterpret_cast<const std::int8_t*>(weight_bytes.data());
  problem.weight_source = source;
  ENN_ASSIGN(problem.channel_source, channel_source(op, binder, source, input.zero_point));
  problem.multiplier = channels.multiplier.data();
  problem.bias = channels.bias.data();
  problem.function = channels.function;
  if (!channels.slopes.empty()) problem.slopes = channels.slopes.data();
  problem.weight_zero_point = op.weight_zero_point();
  problem.input_zero_point = input.zero_point;
  problem.output_zero_point = output.zero_point;
  problem.output_min = op.output_min();
  problem.output_max = op.output_max();
  ENN_ASSIGN(const TensorInfo* residual, bind_residual(op, binder, output));
  if (residual != nullptr) {
    problem.residual_zero_point = residual->zero_point;
    problem.residual_multiplier = op.residual_multiplier();
  }
  std::unique_ptr<Conv> conv = make_conv(problem, binder.features(), binder.max_threads());
  binder.request_scratch(conv->scratch_bytes());
  const char* name = conv->name();
  return make_operator(name, [conv = std::move(conv), &input, residual,
                              &output](const Frame& frame) {
    const auto* added = residual != nullptr ? frame.read(*residual) : nullptr;
    conv->run(reinterpret_cast<const std::uint8_t*>(frame.read(input)),
              reinterpret_cast<const std::uint8_t*>(added),
              reinterpret_cast<std::uint8_t*>(frame.write(output)), frame.scratch, *frame.parallel);
  });
}

}  // namespace enn

#include <cstring>

#include "kernels/conv_f32/conv_f32.hpp"
#include "ops/conv/execute_geometry.hpp"

namespace enn {

Result<OperatorPtr> bind_conv2d_f32(const program::Conv2DF32& op, Binder& binder) {
  ENN_ASSIGN(const ConvOperands operands, bind_conv_operands("Conv2DF32", op, binder, 0));
  const TensorInfo& input = *operands.input;
  const TensorInfo& output = *operands.output;
  const ConvGeometry& g = operands.geometry;
  ENN_TRY(check_dtype("Conv2DF32 input", input, {program::DType_Float32}));
  ENN_TRY(check_dtype("Conv2DF32 weight", *operands.weight, {program::DType_Float32}));
  ENN_TRY(check_dtype("Conv2DF32 output", output, {program::DType_Float32}));
  ENN_TRY(check_range("Conv2DF32 activation", op.activation_min(), op.activation_max()));
  ENN_ASSIGN(auto bias, float_constant("Conv2DF32 bias", binder, op.bias(), g.out_c));

  const auto& [bytes, first, source] = operands.packed;
  std::vector<float> copy;  // of weights at an odd address
  const auto* weight = reinterpret_cast<const float*>(bytes.data());
  const std::size_t count = bytes.size() / sizeof(float);
  if (first && reinterpret_cast<std::uintptr_t>(weight) % alignof(float) != 0) {
    copy.resize(count);
    std::memcpy(copy.data(), weight, bytes.size());
    weight = copy.data();
  }
  if (first) ENN_TRY(check_finite("Conv2DF32 weight", std::span(weight, count)));
  const ConvF32Kernel& kernel = best_conv_f32(g, binder.features());
  auto packed = source.packed<std::vector<float>>(kernel.name, [&] {
    std::vector<float> out(static_cast<std::size_t>(conv_f32_packed_size(kernel, g)));
    pack_conv_f32_weight(kernel, g, weight, out.data());
    return out;
  });

  ConvF32Args args;
  args.geometry = g;
  args.activation_min = op.activation_min();
  args.activation_max = op.activation_max();
  return make_operator(kernel.name, [args, &kernel, packed = std::move(packed),
                                     bias = std::move(bias), &input, &output](const Frame& frame) {
    ConvF32Args bound = args;
    bound.packed_weight = packed->data();
    bound.bias = bias.data();
    bound.input = reinterpret_cast<const float*>(frame.read(input));
    bound.output = reinterpret_cast<float*>(frame.write(output));
    run_conv_f32(kernel, bound, *frame.parallel);
  });
}

}  // namespace enn

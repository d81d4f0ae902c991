#include <cstring>

#include "kernels/conv_f32/conv_f32.hpp"
#include "kernels/split.hpp"
#include "ops/conv/execute_geometry.hpp"

namespace enn {

Result<OperatorPtr> bind_conv2d_f32(const program::Conv2DF32& op, Binder& binder) {
  ENN_ASSIGN(const ConvOperands operands, bind_conv_operands("Conv2DF32", op, binder));
  const TensorInfo& input = *operands.input;
  const TensorInfo& output = *operands.output;
  const ConvGeometry& g = operands.geometry;
  ENN_TRY(check_dtype("Conv2DF32 input", input, {program::DType_Float32}));
  ENN_TRY(check_dtype("Conv2DF32 weight", *operands.weight, {program::DType_Float32}));
  ENN_TRY(check_dtype("Conv2DF32 output", output, {program::DType_Float32}));
  ENN_TRY(check_range("Conv2DF32 activation", op.activation_min(), op.activation_max()));
  ENN_ASSIGN(auto bias, float_constant("Conv2DF32 bias", binder, op.bias(), g.out_c));

  std::vector<float> weight(operands.weight_bytes.size() / sizeof(float));
  std::memcpy(weight.data(), operands.weight_bytes.data(), operands.weight_bytes.size());
  for (const float value : weight) ENN_TRY(check_finite("Conv2DF32 weight", value));
  std::vector<float> packed(weight.size());
  pack_conv_f32_weight(g, weight.data(), packed.data());

  ConvF32Args args;
  args.geometry = g;
  args.activation_min = op.activation_min();
  args.activation_max = op.activation_max();
  const auto& kernel = best_kernel(kConvF32Kernels, binder.features());
  return make_operator(kernel.name, [args, run = kernel.run, packed = std::move(packed),
                                     bias = std::move(bias), &input, &output](const Frame& frame) {
    ConvF32Args bound = args;
    bound.packed_weight = packed.data();
    bound.bias = bias.data();
    bound.input = reinterpret_cast<const float*>(frame.read(input));
    bound.output = reinterpret_cast<float*>(frame.write(output));
    split(*frame.parallel, bound.geometry.pixels(), bound.geometry.out_c * bound.geometry.depth(),
          [&](std::int64_t begin, std::int64_t end) { run(bound, begin, end); });
  });
}

}  // namespace enn

#include "kernels/quantize/quantize.hpp"
#include "ops/execute_checks.hpp"
#include "ops/permute_blocks.hpp"

namespace enn {

Result<OperatorPtr> bind_quantize(const program::Quantize& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Quantize input", *input, {program::DType_Float32}));
  ENN_TRY(check_dtype("Quantize output", *output, {program::DType_UInt8, program::DType_Int8}));
  ENN_TRY(check_quantization("Quantize output", *output));
  ENN_TRY(check_not_in_place("Quantize", *input, *output));
  ENN_TRY(check_finite("Quantize inv_scale", op.inv_scale()));
  const std::int32_t low = output->dtype == program::DType_Int8 ? -128 : 0;
  if (op.quant_min() < low || op.quant_max() > low + 255 || op.quant_min() > op.quant_max()) {
    return error(Code::InvalidProgram, "Quantize has the range [", op.quant_min(), ", ",
                 op.quant_max(), "], outside its output's type");
  }
  ENN_ASSIGN(const auto perm, permutation("Quantize", op.perm(), *input, *output));
  const QuantizeParams params = {op.inv_scale(), output->zero_point, op.quant_min(),
                                 op.quant_max()};
  const auto& kernel = best_kernel(kQuantizeKernels, binder.features());
  return make_operator(kernel.name, [plan = plan_permute(input->shape, perm), params,
                                     run = kernel.run, input, output](const Frame& frame) {
    const auto* in = reinterpret_cast<const float*>(frame.read(*input));
    auto* out = reinterpret_cast<std::uint8_t*>(frame.write(*output));
    for_each_block(plan, *frame.parallel,
                   [&](const Block& block, std::int64_t from, std::int64_t to) {
                     run(params, block, in + from, out + to);
                   });
  });
}

Result<OperatorPtr> bind_dequantize(const program::Dequantize& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Dequantize input", *input, {program::DType_UInt8, program::DType_Int8}));
  ENN_TRY(check_dtype("Dequantize output", *output, {program::DType_Float32}));
  ENN_TRY(check_quantization("Dequantize input", *input));
  ENN_TRY(check_not_in_place("Dequantize", *input, *output));
  ENN_ASSIGN(const auto perm, permutation("Dequantize", op.perm(), *input, *output));
  const DequantizeParams params = {input->scale, input->zero_point,
                                   input->dtype == program::DType_Int8};
  const auto& kernel = best_kernel(kDequantizeKernels, binder.features());
  return make_operator(kernel.name, [plan = plan_permute(input->shape, perm), params,
                                     run = kernel.run, input, output](const Frame& frame) {
    const auto* in = reinterpret_cast<const std::uint8_t*>(frame.read(*input));
    auto* out = reinterpret_cast<float*>(frame.write(*output));
    for_each_block(plan, *frame.parallel,
                   [&](const Block& block, std::int64_t from, std::int64_t to) {
                     run(params, block, in + from, out + to);
                   });
  });
}

}  // namespace enn

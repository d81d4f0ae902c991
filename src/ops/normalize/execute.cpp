#include "kernels/normalize/normalize.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Multiplications that an element costs, about.
constexpr std::int64_t kElementCost = 4;
constexpr std::int64_t kMaxBytesLength = 1 << 23;

template <typename T, typename Kernel>
OperatorPtr make_normalize(std::string_view name, Kernel kernel, const NormalizeParams& params,
                           std::int64_t rows, std::vector<float> weight, std::vector<float> bias,
                           const TensorInfo& input, const TensorInfo& output) {
  return make_operator(name, [=, weight = std::move(weight), bias = std::move(bias), &input,
                              &output](const Frame& frame) {
    NormalizeParams bound = params;
    bound.weight = weight.data();
    bound.bias = bias.data();
    const auto* in = reinterpret_cast<const T*>(frame.read(input));
    auto* out = reinterpret_cast<T*>(frame.write(output));
    split(*frame.parallel, rows, kElementCost * bound.length,
          [&](std::int64_t begin, std::int64_t end) { kernel(bound, in, begin, end, out); });
  });
}

}  // namespace

Result<OperatorPtr> bind_normalize(const program::Normalize& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Normalize input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Normalize output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Normalize", *input, *output));
  if (input->shape != output->shape) {
    return error(Code::InvalidProgram, "Normalize maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  const std::int64_t rows = op.rows();
  if (rows < 1 || op.groups() < 1 || op.inner() < 1 || input->numel % rows != 0 ||
      input->numel / rows % op.inner() != 0) {
    return error(Code::InvalidProgram, "Normalize cuts ", input->numel, " elements into ", rows,
                 " rows with runs of ", op.inner());
  }
  NormalizeParams params;
  params.length = input->numel / rows;
  params.groups = op.groups();
  params.inner = op.inner();
  params.center = op.center();
  params.eps = op.eps();
  if (!(params.eps >= 0.0F)) {
    return error(Code::InvalidProgram, "Normalize has an eps below 0, or NaN");
  }
  ENN_TRY(check_finite("Normalize eps", params.eps));
  // At most 2^32 groups of 2^63 bytes: the product is checked before it is made.
  if (params.groups > rows) {
    return error(Code::InvalidProgram, "Normalize has ", params.groups, " groups in ", rows,
                 " rows");
  }
  const std::int64_t count = params.groups * (params.length / params.inner);
  ENN_ASSIGN(auto weight, float_constant("Normalize weight", binder, op.weight(), count));
  ENN_ASSIGN(auto bias, float_constant("Normalize bias", binder, op.bias(), count));
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(input->numel), kElementCost));
  if (input->dtype == program::DType_Float32) {
    const auto& kernel = best_kernel(kNormalizeF32Kernels, binder.features());
    return make_normalize<float>(kernel.name, kernel.run, params, rows, std::move(weight),
                                 std::move(bias), *input, *output);
  }
  ENN_TRY(check_quantization("Normalize input", *input));
  ENN_TRY(check_quantization("Normalize output", *output));
  if (params.length > kMaxBytesLength) {
    return error(Code::InvalidProgram, "Normalize sums ", params.length,
                 " values, more than the 2^23 whose squares fit in 64 bits");
  }
  params.scale = input->scale;
  params.zero_point = input->zero_point;
  params.output_zero_point = output->zero_point;
  const auto& kernel = best_kernel(kNormalizeU8Kernels, binder.features());
  return make_normalize<std::uint8_t>(kernel.name, kernel.run, params, rows, std::move(weight),
                                      std::move(bias), *input, *output);
}

}  // namespace enn

#include "kernels/quantization.hpp"
#include "kernels/softmax/softmax.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Columns of one parallel part; a part never crosses an outer index.
constexpr std::int64_t kColumnsPerPart = 256;
// Multiplications that an element costs, about.
constexpr std::int64_t kElementCost = 16;

template <typename T, typename Params, typename Kernel>
OperatorPtr make_softmax(std::string_view name, Kernel kernel, const Params& params,
                         std::int64_t outer, const TensorInfo& input, const TensorInfo& output) {
  return make_operator(name, [=, &input, &output](const Frame& frame) {
    const auto* in = reinterpret_cast<const T*>(frame.read(input));
    auto* out = reinterpret_cast<T*>(frame.write(output));
    const std::int64_t size = params.count * params.inner;
    const std::int64_t parts = ceil_div(params.inner, kColumnsPerPart);
    split(*frame.parallel, outer * parts, kElementCost * size / parts,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
              const std::int64_t n = i / parts;
              kernel(params, in + n * size, part_begin(params.inner, parts, i % parts),
                     part_begin(params.inner, parts, i % parts + 1), out + n * size);
            }
          });
  });
}

}  // namespace

Result<OperatorPtr> bind_softmax(const program::Softmax& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Softmax input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Softmax output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Softmax", *input, *output));
  if (input->shape != output->shape) {
    return error(Code::InvalidProgram, "Softmax maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  const std::size_t rank = input->shape.size();
  if (op.axis() >= rank) {
    return error(Code::InvalidProgram, "Softmax has axis ", op.axis(), " on a tensor of rank ",
                 rank);
  }
  SoftmaxParams params;
  std::int64_t outer = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    (d < op.axis() ? outer : d == op.axis() ? params.count : params.inner) *= input->shape[d];
  }
  params.log = op.log();
  params.safe = op.safe();
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(input->numel), kElementCost));
  if (input->dtype == program::DType_Float32) {
    const auto& kernel = best_kernel(kSoftmaxF32Kernels, binder.features());
    return make_softmax<float>(kernel.name, kernel.run, params, outer, *input, *output);
  }
  ENN_TRY(check_quantization("Softmax input", *input));
  ENN_TRY(check_quantization("Softmax output", *output));
  SoftmaxU8Params bytes;
  bytes.count = params.count;
  bytes.inner = params.inner;
  bytes.log = params.log;
  bytes.scale = input->scale;
  bytes.inv_scale = inverse_scale(output->scale);
  bytes.zero_point = output->zero_point;
  bytes.exp = softmax_exp_table(input->scale);
  const auto& kernel = best_kernel(kSoftmaxU8Kernels, binder.features());
  return make_softmax<std::uint8_t>(kernel.name, kernel.run, bytes, outer, *input, *output);
}

}  // namespace enn

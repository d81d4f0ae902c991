#include "kernels/quantization.hpp"
#include "kernels/reduce/reduce.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Results of one parallel part; a part never crosses an outer index.
constexpr std::int64_t kResultsPerPart = 256;

template <typename T, typename Kernel>
OperatorPtr make_mean(std::string_view name, Kernel kernel, const MeanParams& params,
                      std::int64_t outer, const TensorInfo& input, const TensorInfo& output) {
  return make_operator(name, [=, &input, &output](const Frame& frame) {
    const auto* in = reinterpret_cast<const T*>(frame.read(input));
    auto* out = reinterpret_cast<T*>(frame.write(output));
    const std::int64_t parts = ceil_div(params.inner, kResultsPerPart);
    split(*frame.parallel, outer * parts, params.inner * params.count / parts,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
              const std::int64_t n = i / parts;
              kernel(params, in + n * params.count * params.inner,
                     part_begin(params.inner, parts, i % parts),
                     part_begin(params.inner, parts, i % parts + 1), out + n * params.inner);
            }
          });
  });
}

}  // namespace

Result<OperatorPtr> bind_reduce(const program::Reduce& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Reduce input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Reduce output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Reduce", *input, *output));
  if (op.kind() != program::ReduceKind_Mean) {
    return error(Code::InvalidProgram, "Reduce has an unknown kind");
  }
  const std::size_t rank = input->shape.size();
  if (op.first_axis() > op.last_axis() || op.last_axis() >= rank) {
    return error(Code::InvalidProgram, "Reduce has axes [", op.first_axis(), ", ", op.last_axis(),
                 "] on a tensor of rank ", rank);
  }
  MeanParams params;
  std::int64_t outer = 1;
  std::vector<std::int64_t> kept;
  for (std::size_t d = 0; d < rank; ++d) {
    const bool reduced = d >= op.first_axis() && d <= op.last_axis();
    if (!reduced) kept.push_back(input->shape[d]);
    (reduced ? params.count : d < op.first_axis() ? outer : params.inner) *= input->shape[d];
  }
  if (output->shape != kept) {
    return error(Code::InvalidProgram, "Reduce of ", list_str(input->shape), " over axes [",
                 op.first_axis(), ", ", op.last_axis(), "] does not give ",
                 list_str(output->shape));
  }
  if (params.count > (1 << 23)) {
    return error(Code::InvalidProgram, "Reduce sums ", params.count,
                 " values, more than the 2^23 that fit in 32 bits");
  }
  if (input->dtype == program::DType_Float32) {
    return make_mean<float>("mean_f32", mean_f32, params, outer, *input, *output);
  }
  ENN_TRY(check_quantization("Reduce input", *input));
  ENN_TRY(check_quantization("Reduce output", *output));
  params.multiplier =
      static_cast<float>(static_cast<double>(input->scale) /
                         (static_cast<double>(params.count) * static_cast<double>(output->scale)));
  ENN_TRY(check_finite("Reduce multiplier", params.multiplier));
  params.input_zero_point = input->zero_point;
  params.zero_point = output->zero_point;
  const auto& kernel = best_kernel(kMeanU8Kernels, binder.features());
  return make_mean<std::uint8_t>(kernel.name, kernel.run, params, outer, *input, *output);
}

}  // namespace enn

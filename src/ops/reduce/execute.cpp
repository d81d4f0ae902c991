#include <algorithm>

#include "kernels/quantization.hpp"
#include "kernels/reduce/reduce.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Results of one parallel part; a part never crosses an outer index.
constexpr std::int64_t kResultsPerPart = 256;

template <typename In, typename Out, typename Kernel>
OperatorPtr make_reduction(std::string_view name, Kernel kernel, const MeanParams& params,
                           std::int64_t outer, const TensorInfo& input, const TensorInfo& output) {
  return make_operator(name, [=, &input, &output](const Frame& frame) {
    const auto* in = reinterpret_cast<const In*>(frame.read(input));
    auto* out = reinterpret_cast<Out*>(frame.write(output));
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

// The step that is bound: what every kind needs of it.
struct Reduction {
  const program::Reduce& op;
  const TensorInfo& input;
  const TensorInfo& output;
  MeanParams params;
  std::int64_t outer = 1;

  template <typename In, typename Out, typename Kernel>
  [[nodiscard]] OperatorPtr make(std::string_view name, Kernel kernel) const {
    return make_reduction<In, Out>(name, kernel, params, outer, input, output);
  }
};

// Fills params and outer from the shapes.
Status set_shape(Reduction& reduction) {
  const program::Reduce& op = reduction.op;
  const std::vector<std::int64_t>& shape = reduction.input.shape;
  if (op.first_axis() > op.last_axis() || op.last_axis() >= shape.size()) {
    return error(Code::InvalidProgram, "Reduce has axes [", op.first_axis(), ", ", op.last_axis(),
                 "] on a tensor of rank ", shape.size());
  }
  std::vector<std::int64_t> kept;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const bool reduced = d >= op.first_axis() && d <= op.last_axis();
    if (!reduced) kept.push_back(shape[d]);
    (reduced               ? reduction.params.count
     : d < op.first_axis() ? reduction.outer
                           : reduction.params.inner) *= shape[d];
  }
  if (reduction.output.shape == kept) return {};
  return error(Code::InvalidProgram, "Reduce of ", list_str(shape), " over axes [", op.first_axis(),
               ", ", op.last_axis(), "] does not give ", list_str(reduction.output.shape));
}

// Mean and sum of UInt8.
Result<OperatorPtr> bind_sum_u8(Reduction& reduction, const Binder& binder) {
  MeanParams& params = reduction.params;
  if (params.count > (1 << 23)) {
    return error(Code::InvalidProgram, "Reduce sums ", params.count,
                 " values, more than the 2^23 that fit in 32 bits");
  }
  ENN_TRY(check_quantization("Reduce input", reduction.input));
  ENN_TRY(check_quantization("Reduce output", reduction.output));
  const double divisor =
      reduction.op.kind() == program::ReduceKind_Mean ? static_cast<double>(params.count) : 1.0;
  params.multiplier = static_cast<float>(static_cast<double>(reduction.input.scale) /
                                         (divisor * static_cast<double>(reduction.output.scale)));
  ENN_TRY(check_finite("Reduce multiplier", params.multiplier));
  params.input_zero_point = reduction.input.zero_point;
  params.zero_point = reduction.output.zero_point;
  const auto& kernel = best_kernel(kMeanU8Kernels, binder.features());
  return reduction.make<std::uint8_t, std::uint8_t>(kernel.name, kernel.run);
}

Result<OperatorPtr> bind_f32(const Reduction& reduction, const Binder& binder) {
  const auto count = static_cast<double>(reduction.params.count);
  const program::ReduceKind kind = reduction.op.kind();
  switch (kind) {
    case program::ReduceKind_Mean:
    case program::ReduceKind_Sum: {
      const double divisor = kind == program::ReduceKind_Mean ? count : 1.0;
      const auto& kernel = best_kernel(kMeanF32Kernels, binder.features());
      return reduction.make<float, float>(
          kernel.name,
          [divisor, run = kernel.run](const MeanParams& params, const float* in, std::int64_t begin,
                                      std::int64_t end,
                                      float* out) { run(params, divisor, in, begin, end, out); });
    }
    case program::ReduceKind_Prod:
      return reduction.make<float, float>("prod_f32", prod_f32);
    default: {
      const float correction = reduction.op.correction();
      ENN_TRY(check_finite("Reduce correction", correction));
      const double divisor = std::max(0.0, count - static_cast<double>(correction));
      const bool root = kind == program::ReduceKind_Deviation;
      return reduction.make<float, float>(
          "variance_f32", [divisor, root](const MeanParams& params, const float* in,
                                          std::int64_t begin, std::int64_t end, float* out) {
            variance_f32(params, divisor, root, in, begin, end, out);
          });
    }
  }
}

template <typename T>
OperatorPtr bind_integers(const Reduction& reduction) {
  if (reduction.op.kind() == program::ReduceKind_Sum) {
    return reduction.make<T, std::int64_t>("sum_integers", sum_integers<T>);
  }
  return reduction.make<T, std::int64_t>("prod_integers", prod_integers<T>);
}

template <typename T>
OperatorPtr bind_extreme(const Reduction& reduction) {
  switch (reduction.op.kind()) {
    case program::ReduceKind_Max:
      return reduction.make<T, T>("max", extreme_values<T, Larger>);
    case program::ReduceKind_Min:
      return reduction.make<T, T>("min", extreme_values<T, Smaller>);
    case program::ReduceKind_ArgMax:
      return reduction.make<T, std::int64_t>("argmax", extreme_places<T, Larger>);
    default:
      return reduction.make<T, std::int64_t>("argmin", extreme_places<T, Smaller>);
  }
}

}  // namespace

Result<OperatorPtr> bind_reduce(const program::Reduce& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_not_in_place("Reduce", *input, *output));
  Reduction reduction{op, *input, *output, {}, 1};
  ENN_TRY(set_shape(reduction));
  switch (op.kind()) {
    case program::ReduceKind_Max:
    case program::ReduceKind_Min:
    case program::ReduceKind_ArgMax:
    case program::ReduceKind_ArgMin: {
      const bool places =
          op.kind() == program::ReduceKind_ArgMax || op.kind() == program::ReduceKind_ArgMin;
      ENN_TRY(
          check_dtype("Reduce output", *output, {places ? program::DType_Int64 : input->dtype}));
      switch (input->dtype) {
        case program::DType_Float32:
          return bind_extreme<float>(reduction);
        case program::DType_UInt8:
        case program::DType_Bool:
          return bind_extreme<std::uint8_t>(reduction);
        case program::DType_Int32:
          return bind_extreme<std::int32_t>(reduction);
        default:
          ENN_TRY(check_dtype("Reduce input", *input, {program::DType_Int64}));
          return bind_extreme<std::int64_t>(reduction);
      }
    }
    case program::ReduceKind_Sum:
    case program::ReduceKind_Prod:
      if (input->dtype == program::DType_UInt8 || input->dtype == program::DType_Float32) break;
      ENN_TRY(check_dtype("Reduce input", *input,
                          {program::DType_Int32, program::DType_Int64, program::DType_Bool}));
      ENN_TRY(check_dtype("Reduce output", *output, {program::DType_Int64}));
      if (input->dtype == program::DType_Int32) return bind_integers<std::int32_t>(reduction);
      if (input->dtype == program::DType_Int64) return bind_integers<std::int64_t>(reduction);
      return bind_integers<std::uint8_t>(reduction);
    case program::ReduceKind_Mean:
    case program::ReduceKind_Variance:
    case program::ReduceKind_Deviation:
      break;
    default:
      return error(Code::InvalidProgram, "Reduce has an unknown kind");
  }
  const bool sums = op.kind() == program::ReduceKind_Mean || op.kind() == program::ReduceKind_Sum;
  ENN_TRY(
      check_dtype("Reduce input", *input,
                  {program::DType_Float32, sums ? program::DType_UInt8 : program::DType_Float32}));
  ENN_TRY(check_dtype("Reduce output", *output, {input->dtype}));
  if (input->dtype == program::DType_UInt8) return bind_sum_u8(reduction, binder);
  return bind_f32(reduction, binder);
}

}  // namespace enn

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "kernels/binary/binary.hpp"
#include "kernels/broadcast.hpp"
#include "kernels/quantization.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

template <typename A, typename B, typename Out, typename Kernel>
OperatorPtr make_binary(std::string_view name, Kernel kernel, BroadcastPlan plan,
                        const BinaryParams& params, const TensorInfo& a, const TensorInfo& b,
                        const TensorInfo& output) {
  return make_operator(
      name, [plan = std::move(plan), params, kernel, &a, &b, &output](const Frame& frame) {
        const auto* x = reinterpret_cast<const A*>(frame.read(a));
        const auto* y = reinterpret_cast<const B*>(frame.read(b));
        auto* out = reinterpret_cast<Out*>(frame.write(output));
        for_each_run<2>(plan, 1, *frame.parallel, [&](const auto& at, std::int64_t to, auto n) {
          kernel(params, x + at[0], plan.step(0), y + at[1], plan.step(1), out + to, n);
        });
      });
}

template <typename T>
OperatorPtr make_typed(BinaryTypedKernel kernel, BroadcastPlan plan, const BinaryParams& params,
                       const TensorInfo& a, const TensorInfo& b, const TensorInfo& output) {
  if (is_comparison(params.op)) {
    return make_binary<T, T, std::uint8_t>("binary_typed", kernel, std::move(plan), params, a, b,
                                           output);
  }
  return make_binary<T, T, T>("binary_typed", kernel, std::move(plan), params, a, b, output);
}

std::optional<BinaryOp> binary_op(program::BinaryKind kind) {
  switch (kind) {
#define ENN_BINARY(name)           \
  case program::BinaryKind_##name: \
    return BinaryOp::name;
#include "kernels/binary/functions.def"
#undef ENN_BINARY
  }
  return std::nullopt;
}

// What is not quantized: operands of one type, and a result of that type or of truth values.
Result<OperatorPtr> bind_typed(BroadcastPlan plan, const BinaryParams& params, Binder& binder,
                               const TensorInfo& a, const TensorInfo& b, const TensorInfo& output) {
  ENN_TRY(check_dtype(
      "Binary operand", a,
      {program::DType_Float32, program::DType_Int32, program::DType_Int64, program::DType_Bool}));
  ENN_TRY(check_dtype("Binary operand", b, {a.dtype}));
  const bool compares = is_comparison(params.op);
  ENN_TRY(check_dtype("Binary output", output, {compares ? program::DType_Bool : a.dtype}));
  if (a.dtype == program::DType_Float32 && !compares) {
    if (is_bitwise(params.op)) {
      return error(Code::InvalidProgram, "Binary has a kind that is not defined on Float32");
    }
    const auto& kernel = best_kernel(kBinaryF32Kernels, binder.features());
    return make_binary<float, float, float>(kernel.name, kernel.run, std::move(plan), params, a, b,
                                            output);
  }
  if (!std::isinf(params.activation_min) || !std::isinf(params.activation_max)) {
    return error(Code::InvalidProgram, "Binary has an activation, but no real result");
  }
  constexpr float kLargestInteger = 0x1p24F;
  if (std::trunc(params.alpha) != params.alpha || std::fabs(params.alpha) > kLargestInteger) {
    return error(Code::InvalidProgram, "Binary on integers has alpha ", params.alpha);
  }
  const auto bind = [&](BinaryType type, auto element) -> Result<OperatorPtr> {
    const BinaryTypedKernel kernel = binary_typed(params.op, type);
    if (kernel == nullptr) {
      return error(Code::InvalidProgram, "Binary has a kind that is not defined on its operands");
    }
    return make_typed<decltype(element)>(kernel, std::move(plan), params, a, b, output);
  };
  switch (a.dtype) {
    case program::DType_Float32:
      return bind(BinaryType::F32, float{});
    case program::DType_Int32:
      return bind(BinaryType::I32, std::int32_t{});
    case program::DType_Int64:
      return bind(BinaryType::I64, std::int64_t{});
    default:
      return bind(BinaryType::Bool, std::uint8_t{});
  }
}

}  // namespace

Result<OperatorPtr> bind_binary(const program::Binary& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* a, binder.tensor(op.a()));
  ENN_ASSIGN(const TensorInfo* b, binder.tensor(op.b()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_range("Binary activation", op.activation_min(), op.activation_max()));
  ENN_TRY(check_finite("Binary alpha", op.alpha()));
  ENN_TRY(check_broadcast("Binary", std::array{a, b}, *output));
  const std::optional<BinaryOp> function = binary_op(op.kind());
  if (!function) return error(Code::InvalidProgram, "Binary has an unknown kind");

  BinaryParams params;
  params.op = *function;
  params.activation_min = op.activation_min();
  params.activation_max = op.activation_max();
  params.alpha = op.alpha();
  BroadcastPlan plan = plan_broadcast(std::array{a->shape, b->shape}, output->shape);
  if (output->dtype != program::DType_UInt8) {
    return bind_typed(std::move(plan), params, binder, *a, *b, *output);
  }
  if (is_comparison(params.op) || is_bitwise(params.op)) {
    return error(Code::InvalidProgram, "Binary has a kind that is not defined on UInt8");
  }
  ENN_TRY(check_dtype("Binary operand", *a, {program::DType_UInt8}));
  ENN_TRY(check_dtype("Binary operand", *b, {program::DType_UInt8, program::DType_Float32}));
  const bool real = b->dtype == program::DType_Float32;
  for (const TensorInfo* tensor : {a, real ? a : b, output}) {
    ENN_TRY(check_quantization("Binary operand", *tensor));
  }
  params.a_scale = a->scale;
  params.b_scale = b->scale;
  params.inv_scale = inverse_scale(output->scale);
  params.a_zero_point = a->zero_point;
  params.b_zero_point = b->zero_point;
  params.zero_point = output->zero_point;
  if (real) {
    return make_binary<std::uint8_t, float, std::uint8_t>("binary_u8_f32_u8", &binary_u8_f32_u8,
                                                          std::move(plan), params, *a, *b, *output);
  }
  const auto& kernel = best_kernel(kBinaryU8Kernels, binder.features());
  return make_binary<std::uint8_t, std::uint8_t, std::uint8_t>(
      kernel.name, kernel.run, std::move(plan), params, *a, *b, *output);
}

}  // namespace enn

#include <array>
#include <cstring>

#include "kernels/lut/lut.hpp"
#include "kernels/split.hpp"
#include "kernels/unary_f32/unary_f32.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

Status check_same_shape(std::string_view name, const TensorInfo& input, const TensorInfo& output) {
  if (input.shape == output.shape) return {};
  return error(Code::InvalidProgram, name, " maps shape ", list_str(input.shape), " to ",
               list_str(output.shape));
}

Result<UnaryOp> unary_op(program::UnaryKind kind) {
  switch (kind) {
    case program::UnaryKind_Relu:
      return UnaryOp::Relu;
    case program::UnaryKind_Clamp:
      return UnaryOp::Clamp;
    case program::UnaryKind_Sigmoid:
      return UnaryOp::Sigmoid;
    case program::UnaryKind_Tanh:
      return UnaryOp::Tanh;
    case program::UnaryKind_Hardswish:
      return UnaryOp::Hardswish;
    case program::UnaryKind_Hardsigmoid:
      return UnaryOp::Hardsigmoid;
  }
  return error(Code::InvalidProgram, "UnaryF32 has an unknown kind");
}

}  // namespace

Result<OperatorPtr> bind_lut(const program::Lut& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* table, binder.tensor(op.table()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Lut input", *input, {program::DType_UInt8, program::DType_Int8}));
  ENN_TRY(check_dtype("Lut output", *output, {program::DType_UInt8, program::DType_Int8}));
  ENN_TRY(check_same_shape("Lut", *input, *output));
  if (table->dtype != program::DType_UInt8 || table->numel != 256) {
    return error(Code::InvalidProgram, "Lut table (tensor ", table->id, ") is not uint8[256]");
  }
  ENN_ASSIGN(const std::span<const std::byte> bytes, binder.constant(*table));
  std::array<std::uint8_t, 256> values{};
  std::memcpy(values.data(), bytes.data(), values.size());
  const auto& kernel = best_kernel(kLutKernels, binder.features());
  return make_operator(kernel.name, [values, run = kernel.run, input, output](const Frame& frame) {
    const auto* in = reinterpret_cast<const std::uint8_t*>(frame.read(*input));
    auto* out = reinterpret_cast<std::uint8_t*>(frame.write(*output));
    split(*frame.parallel, input->numel, 1, [&](std::int64_t begin, std::int64_t end) {
      run(values.data(), in + begin, out + begin, end - begin);
    });
  });
}

Result<OperatorPtr> bind_unary_f32(const program::UnaryF32& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("UnaryF32 input", *input, {program::DType_Float32}));
  ENN_TRY(check_dtype("UnaryF32 output", *output, {program::DType_Float32}));
  ENN_TRY(check_same_shape("UnaryF32", *input, *output));
  ENN_ASSIGN(const UnaryOp function, unary_op(op.kind()));
  if (function == UnaryOp::Clamp) ENN_TRY(check_range("UnaryF32 clamp", op.alpha(), op.beta()));
  const float minimum = op.alpha();
  const float maximum = op.beta();
  return make_operator(
      "unary_f32", [function, minimum, maximum, input, output](const Frame& frame) {
        const auto* in = reinterpret_cast<const float*>(frame.read(*input));
        auto* out = reinterpret_cast<float*>(frame.write(*output));
        split(*frame.parallel, input->numel, 4, [&](std::int64_t begin, std::int64_t end) {
          unary_f32(function, minimum, maximum, in + begin, out + begin, end - begin);
        });
      });
}

}  // namespace enn

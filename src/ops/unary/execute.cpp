#include <array>
#include <cmath>
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
#define ENN_UNARY(Name, function) \
  case program::UnaryKind_##Name: \
    return UnaryOp::Name;
#include "kernels/unary_f32/functions.def"
#undef ENN_UNARY
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
  ENN_ASSIGN(const auto packed, binder.packed_constant(*table, "table"));
  using Table = std::array<std::uint8_t, 256>;
  const auto values = packed.source.packed<Table>("bytes", [&] {
    Table out{};
    std::memcpy(out.data(), packed.bytes.data(), out.size());
    return out;
  });
  const auto& kernel = best_kernel(kLutKernels, binder.features());
  return make_operator(kernel.name, [values, run = kernel.run, input, output](const Frame& frame) {
    const auto* in = reinterpret_cast<const std::uint8_t*>(frame.read(*input));
    auto* out = reinterpret_cast<std::uint8_t*>(frame.write(*output));
    split(*frame.parallel, input->numel, 1, [&](std::int64_t begin, std::int64_t end) {
      run(values->data(), in + begin, out + begin, end - begin);
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
  // Clamp's bounds may be infinite; NaN has no meaning for any function.
  if (std::isnan(op.alpha()) || std::isnan(op.beta())) {
    return error(Code::InvalidProgram, "UnaryF32 has a parameter that is not a number");
  }
  return make_operator("unary_f32", [function, alpha = op.alpha(), beta = op.beta(), input,
                                     output](const Frame& frame) {
    const auto* in = reinterpret_cast<const float*>(frame.read(*input));
    auto* out = reinterpret_cast<float*>(frame.write(*output));
    split(*frame.parallel, input->numel, 4, [&](std::int64_t begin, std::int64_t end) {
      unary_f32(function, alpha, beta, in + begin, out + begin, end - begin);
    });
  });
}

}  // namespace enn

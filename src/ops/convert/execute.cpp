#include <utility>

#include "kernels/convert/convert.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// Precondition: one of those that Convert takes.
NumberType number_type(program::DType dtype) {
  switch (dtype) {
    case program::DType_Float32:
      return NumberType::F32;
    case program::DType_Float16:
      return NumberType::F16;
    case program::DType_Int32:
      return NumberType::I32;
    case program::DType_Int64:
      return NumberType::I64;
    case program::DType_UInt8:
      return NumberType::U8;
    default:
      return NumberType::Bool;
  }
}

}  // namespace

Result<OperatorPtr> bind_convert(const program::Convert& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_not_in_place("Convert", *input, *output));
  for (const TensorInfo* tensor : {input, output}) {
    ENN_TRY(check_dtype("Convert operand", *tensor,
                        {program::DType_Float32, program::DType_Float16, program::DType_Int32,
                         program::DType_Int64, program::DType_UInt8, program::DType_Bool}));
  }
  if (input->shape != output->shape) {
    return error(Code::InvalidProgram, "Convert maps shape ", list_str(input->shape), " to ",
                 list_str(output->shape));
  }
  for (const std::int32_t offset : {op.input_offset(), op.output_offset()}) {
    if (offset < 0 || offset > 255) {
      return error(Code::InvalidProgram, "Convert has the offset ", offset);
    }
  }
  const auto sizes = std::pair(input->bytes / static_cast<std::size_t>(input->numel),
                               output->bytes / static_cast<std::size_t>(output->numel));
  return make_operator(
      "convert", [from = number_type(input->dtype), to = number_type(output->dtype),
                  in_offset = op.input_offset(), out_offset = op.output_offset(), sizes, input,
                  output](const Frame& frame) {
        const std::byte* in = frame.read(*input);
        std::byte* out = frame.write(*output);
        split(*frame.parallel, input->numel, 1, [&](std::int64_t begin, std::int64_t end) {
          const auto first = static_cast<std::size_t>(begin);
          convert(from, to, in_offset, out_offset, in + first * sizes.first,
                  out + first * sizes.second, end - begin);
        });
      });
}

}  // namespace enn

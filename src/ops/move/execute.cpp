#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "ops/execute_checks.hpp"
#include "ops/permute_blocks.hpp"

namespace enn {
namespace {

// The first and last element of the input that a walk of `shape` from `offset` reads.
struct Span {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

// nullopt when a product or sum overflows.
std::optional<Span> walked(const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides, std::int64_t offset) {
  Span span{offset, offset};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    std::int64_t reach = 0;
    std::int64_t& end = strides[d] < 0 ? span.first : span.last;
    if (__builtin_mul_overflow(shape[d] - 1, strides[d], &reach) ||
        __builtin_add_overflow(end, reach, &end)) {
      return std::nullopt;
    }
  }
  return span;
}

}  // namespace

Result<OperatorPtr> bind_strided(const program::Strided& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Strided output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Strided", *input, *output));
  if (op.strides() == nullptr || op.strides()->size() != output->shape.size()) {
    return error(Code::InvalidProgram, "Strided does not have one stride per dimension of ",
                 list_str(output->shape));
  }
  const std::vector<std::int64_t> strides(op.strides()->begin(), op.strides()->end());
  const auto span = op.offset() < static_cast<std::uint64_t>(input->numel)
                        ? walked(output->shape, strides, static_cast<std::int64_t>(op.offset()))
                        : std::nullopt;
  if (!span || span->first < 0 || span->last >= input->numel) {
    return error(Code::InvalidProgram, "Strided reads outside its input ", list_str(input->shape));
  }
  const std::size_t size = input->bytes / static_cast<std::size_t>(input->numel);
  const auto bytes = static_cast<std::int64_t>(size);
  const std::int64_t start = static_cast<std::int64_t>(op.offset()) * bytes;
  return make_operator("strided", [plan = plan_strided(output->shape, strides), size, bytes, start,
                                   input, output](const Frame& frame) {
    const std::byte* in = frame.read(*input) + start;
    std::byte* out = frame.write(*output);
    for_each_block(plan, *frame.parallel,
                   [&](const Block& block, std::int64_t from, std::int64_t to) {
                     copy_block(block, size, in + from * bytes, out + to * bytes);
                   });
  });
}

Result<OperatorPtr> bind_pad(const program::Pad& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Pad input", *input, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Pad output", *output, {input->dtype}));
  ENN_TRY(check_rank("Pad output", *output, input->shape.size()));
  ENN_TRY(check_not_in_place("Pad", *input, *output));
  const std::size_t rank = input->shape.size();
  if (op.before() == nullptr || op.before()->size() != rank) {
    return error(Code::InvalidProgram, "Pad does not have one entry per dimension of ",
                 list_str(input->shape));
  }
  if (std::isnan(op.value()))
    return error(Code::InvalidProgram, "Pad has a value that is not a number");
  const std::size_t size = input->bytes / static_cast<std::size_t>(input->numel);
  // Rows of the input go to their places in the output, counted in elements.
  std::vector<std::int64_t> stride(rank, 1);
  for (std::size_t d = rank; d-- > 1;) stride[d - 1] = stride[d] * output->shape[d];
  std::int64_t origin = 0;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::int64_t before = (*op.before())[static_cast<flatbuffers::uoffset_t>(d)];
    if (before + input->shape[d] > output->shape[d]) {
      return error(Code::InvalidProgram, "Pad of ", list_str(input->shape), " does not fit into ",
                   list_str(output->shape));
    }
    origin += before * stride[d];
  }
  std::array<std::byte, 4> value{};
  const float real = op.value();
  const std::uint8_t stored = op.stored_value();
  size == 4 ? std::memcpy(value.data(), &real, 4) : std::memcpy(value.data(), &stored, 1);
  const std::int64_t row = rank == 0 ? 1 : input->shape.back();
  return make_operator("pad",
                       [stride, origin, value, size, row, input, output](const Frame& frame) {
                         const std::byte* in = frame.read(*input);
                         std::byte* out = frame.write(*output);
                         for (std::size_t at = 0; at < output->bytes; at += size)
                           std::memcpy(out + at, value.data(), size);
                         const std::int64_t rows = input->numel / row;
                         for (std::int64_t i = 0; i < rows; ++i) {
                           std::int64_t rest = i;
                           std::int64_t to = origin;
                           for (std::size_t d = input->shape.size(); d-- > 1;) {
                             to += rest % input->shape[d - 1] * stride[d - 1];
                             rest /= input->shape[d - 1];
                           }
                           std::memcpy(out + static_cast<std::size_t>(to) * size,
                                       in + static_cast<std::size_t>(i * row) * size,
                                       static_cast<std::size_t>(row) * size);
                         }
                       });
}

}  // namespace enn

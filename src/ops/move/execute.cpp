#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/index/index.hpp"
#include "ops/execute_checks.hpp"
#include "ops/permute_blocks.hpp"

namespace enn {
Result<OperatorPtr> bind_strided(const program::Strided& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Strided output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Strided", *input, *output));
  std::vector<std::int64_t> strides = listed(op.strides());
  if (strides.size() != output->shape.size()) {
    return error(Code::InvalidProgram, "Strided does not have one stride per dimension of ",
                 list_str(output->shape));
  }
  if (op.offset() >= static_cast<std::uint64_t>(input->numel) ||
      !stays_inside(output->shape, strides, static_cast<std::int64_t>(op.offset()), input->numel)) {
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

namespace {

// Where the input's box begins in the input and in the output, and its size.
struct Box {
  std::vector<std::int64_t> from;
  std::vector<std::int64_t> to;
  std::vector<std::int64_t> shape;
};

Result<Box> checked_box(const program::Pad& op, const TensorInfo& input, const TensorInfo& output) {
  const std::size_t rank = input.shape.size();
  const bool has_skip = op.skip() != nullptr && op.skip()->size() > 0;
  if ((rank > 0 && op.before() == nullptr) ||
      (op.before() != nullptr && op.before()->size() != rank) ||
      (has_skip && op.skip()->size() != rank)) {
    return error(Code::InvalidProgram, "Pad does not have one entry per dimension of ",
                 list_str(input.shape));
  }
  Box box;
  for (std::size_t d = 0; d < rank; ++d) {
    const auto at = static_cast<flatbuffers::uoffset_t>(d);
    const std::int64_t skip = has_skip ? std::int64_t{op.skip()->Get(at)} : 0;
    const std::int64_t before = op.before()->Get(at);
    const std::int64_t size = std::min(input.shape[d] - skip, output.shape[d] - before);
    if (size < 1) {
      return error(Code::InvalidProgram, "Pad of ", list_str(input.shape), " does not fit into ",
                   list_str(output.shape));
    }
    box.from.push_back(skip);
    box.to.push_back(before);
    box.shape.push_back(size);
  }
  return Box(std::move(box));
}

std::vector<std::int64_t> dense_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

std::int64_t dot(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), std::int64_t{0});
}

}  // namespace

Result<OperatorPtr> bind_pad(const program::Pad& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Pad output", *output, {input->dtype}));
  ENN_TRY(check_rank("Pad output", *output, input->shape.size()));
  ENN_TRY(check_not_in_place("Pad", *input, *output));
  if (std::isnan(op.value()))
    return error(Code::InvalidProgram, "Pad has a value that is not a number");
  ENN_ASSIGN(const Box box, checked_box(op, *input, *output));
  const std::size_t size = input->bytes / static_cast<std::size_t>(input->numel);
  std::array<std::byte, 8> value{};
  const float real = op.value();
  const std::uint8_t stored = op.stored_value();
  const std::int64_t integer = op.integer_value();
  switch (input->dtype) {
    case program::DType_Float32:
      std::memcpy(value.data(), &real, sizeof(real));
      break;
    case program::DType_UInt8:
    case program::DType_Int8:
      std::memcpy(value.data(), &stored, sizeof(stored));
      break;
    default:  // little endian: the low bytes come first
      std::memcpy(value.data(), &integer, size);
      break;
  }
  // Rows of the box go to their places in the output.
  IndexPlan plan;
  plan.shape = box.shape;
  plan.strides = dense_strides(output->shape);
  plan.source_strides = dense_strides(input->shape);
  const auto bytes = static_cast<std::int64_t>(size);
  const std::int64_t to = dot(box.to, plan.strides) * bytes;
  const std::int64_t from = dot(box.from, plan.source_strides) * bytes;
  merge_rows(plan);
  return make_operator(
      "pad", [plan = std::move(plan), from, to, value, size, input, output](const Frame& frame) {
        std::byte* out = frame.write(*output);
        if (size == 1) {
          std::memset(out, static_cast<int>(value[0]), output->bytes);
        } else {
          for (std::size_t at = 0; at < output->bytes; at += size)
            std::memcpy(out + at, value.data(), size);
        }
        scatter_rows(plan, {}, size, frame.read(*input) + from, out + to);
      });
}

}  // namespace enn

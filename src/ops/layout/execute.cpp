#include <cstring>

#include "kernels/copy/copy.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"
#include "ops/permute_blocks.hpp"

namespace enn {
namespace {

// One input of a concatenation as rows of bytes: row i goes to output + i * output row + offset.
struct Part {
  const TensorInfo* tensor = nullptr;
  std::int64_t row_bytes = 0;
  std::int64_t offset = 0;
};

}  // namespace

Result<OperatorPtr> bind_transpose(const program::Transpose& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* input, binder.tensor(op.input()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Transpose output", *output, {input->dtype}));
  ENN_TRY(check_not_in_place("Transpose", *input, *output));
  ENN_ASSIGN(const auto perm, permutation("Transpose", op.perm(), *input, *output));
  const std::size_t size = element_size(*input);
  return make_operator("transpose", [plan = plan_permute(input->shape, perm), size, input,
                                     output](const Frame& frame) {
    const std::byte* in = frame.read(*input);
    std::byte* out = frame.write(*output);
    const auto bytes = static_cast<std::int64_t>(size);
    for_each_block(plan, *frame.parallel,
                   [&](const Block& block, std::int64_t from, std::int64_t to) {
                     copy_block(block, size, in + from * bytes, out + to * bytes);
                   });
  });
}

Result<OperatorPtr> bind_concat(const program::Concat& op, Binder& binder) {
  if (op.inputs() == nullptr || op.inputs()->size() == 0) {
    return error(Code::InvalidProgram, "Concat has no inputs");
  }
  std::vector<Part> parts;
  for (const std::uint32_t id : *op.inputs()) {
    ENN_ASSIGN(const TensorInfo* input, binder.tensor(id));
    parts.push_back({input, 0, 0});
  }
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  const std::size_t rank = output->shape.size();
  const std::size_t axis = op.axis();
  if (axis >= rank) {
    return error(Code::InvalidProgram, "Concat has axis ", axis, " for rank ", rank);
  }
  std::int64_t rows = 1;
  for (std::size_t d = 0; d < axis; ++d) rows *= output->shape[d];
  std::int64_t joined = 0;
  std::int64_t offset = 0;
  for (Part& part : parts) {
    const TensorInfo& input = *part.tensor;
    ENN_TRY(check_dtype("Concat input", input, {output->dtype}));
    ENN_TRY(check_not_in_place("Concat", input, *output));
    bool fits = input.shape.size() == rank;
    for (std::size_t d = 0; fits && d < rank; ++d) {
      fits = d == axis || input.shape[d] == output->shape[d];
    }
    if (!fits) {
      return error(Code::InvalidProgram, "Concat along axis ", axis, " of ", list_str(input.shape),
                   " does not fit into ", list_str(output->shape));
    }
    joined += input.shape[axis];
    part.row_bytes = static_cast<std::int64_t>(input.bytes) / rows;
    part.offset = offset;
    offset += part.row_bytes;
  }
  if (joined != output->shape[axis]) {
    return error(Code::InvalidProgram, "Concat joins ", joined, " along axis ", axis,
                 ", its output has ", output->shape[axis]);
  }
  return make_operator(
      "concat", [parts = std::move(parts), rows, row_bytes = offset, output](const Frame& frame) {
        std::byte* out = frame.write(*output);
        split(*frame.parallel, rows, row_bytes, [&](std::int64_t begin, std::int64_t end) {
          for (const Part& part : parts) {
            const std::byte* in = frame.read(*part.tensor);
            for (std::int64_t row = begin; row < end; ++row) {
              std::memcpy(out + row * row_bytes + part.offset, in + row * part.row_bytes,
                          static_cast<std::size_t>(part.row_bytes));
            }
          }
        });
      });
}

}  // namespace enn

#include "kernels/matmul/matmul.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// The products of one result fit in int32 whatever the operands hold.
constexpr std::int64_t kMaxDepth = INT32_MAX / (255 * 255);

Status shapes_differ(const TensorInfo& a, const TensorInfo& b, const TensorInfo& output) {
  return error(Code::InvalidProgram, "MatMul of ", list_str(a.shape), " and ", list_str(b.shape),
               " does not give ", list_str(output.shape));
}

// Sizes and strides of the problem; the batch dimensions in front of the matrices.
Status set_geometry(const TensorInfo& a, const TensorInfo& b, const TensorInfo& output,
                    MatMulProblem& problem) {
  const std::size_t rank = a.shape.size();
  if (rank < 2 || b.shape.size() != rank || output.shape.size() != rank) {
    return shapes_differ(a, b, output);
  }
  problem.rows = a.shape[rank - 2];
  problem.depth = a.shape[rank - 1];
  problem.columns = b.shape[problem.transpose_b ? rank - 2 : rank - 1];
  if (b.shape[problem.transpose_b ? rank - 1 : rank - 2] != problem.depth ||
      output.shape[rank - 2] != problem.rows || output.shape[rank - 1] != problem.columns) {
    return shapes_differ(a, b, output);
  }
  std::int64_t a_count = 1;
  problem.batch.resize(rank - 2);
  for (std::size_t d = rank - 2; d-- > 0;) {
    const std::int64_t from_a = a.shape[d];
    const std::int64_t from_b = b.shape[d];
    const std::int64_t size = from_a == 1 ? from_b : from_a;
    if ((from_b != size && from_b != 1) || output.shape[d] != size) {
      return shapes_differ(a, b, output);
    }
    problem.batch[d] = {size, from_a == 1 ? 0 : a_count, from_b == 1 ? 0 : problem.b_count};
    a_count *= from_a;
    problem.b_count *= from_b;
  }
  // One matrix b for all of a: their rows are one matrix.
  if (problem.b_count == 1) {
    problem.rows *= a_count;
    problem.batch.clear();
  }
  return {};
}

}  // namespace

Result<OperatorPtr> bind_matmul(const program::MatMul& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* a, binder.tensor(op.a()));
  ENN_ASSIGN(const TensorInfo* b, binder.tensor(op.b()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("MatMul a", *a, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("MatMul b", *b, {a->dtype}));
  ENN_TRY(check_dtype("MatMul output", *output, {a->dtype}));
  ENN_TRY(check_not_in_place("MatMul", *a, *output));
  ENN_TRY(check_not_in_place("MatMul", *b, *output));
  MatMulProblem problem;
  problem.is_float = a->dtype == program::DType_Float32;
  problem.transpose_b = op.transpose_b();
  ENN_TRY(set_geometry(*a, *b, *output, problem));
  ENN_ASSIGN(const auto bias, float_constant("MatMul bias", binder, op.bias(), problem.columns));
  problem.bias = bias.data();
  if (!problem.is_float) {
    ENN_TRY(check_quantization("MatMul a", *a));
    ENN_TRY(check_quantization("MatMul b", *b));
    ENN_TRY(check_quantization("MatMul output", *output));
    if (problem.depth > kMaxDepth) {
      return error(Code::InvalidProgram, "MatMul sums ", problem.depth,
                   " products per output, which can overflow 32 bits");
    }
    problem.multiplier =
        static_cast<float>(static_cast<double>(a->scale) * static_cast<double>(b->scale) /
                           static_cast<double>(output->scale));
    ENN_TRY(check_finite("MatMul multiplier", problem.multiplier));
    problem.a_zero_point = a->zero_point;
    problem.b_zero_point = b->zero_point;
    problem.output_zero_point = output->zero_point;
  }
  binder.report_cost(saturating_product(static_cast<std::uint64_t>(output->numel),
                                        static_cast<std::uint64_t>(problem.depth)));
  std::unique_ptr<MatMul> matmul = make_matmul(problem, binder.features(), binder.max_threads());
  binder.request_scratch(matmul->scratch_bytes());
  const char* name = matmul->name();
  return make_operator(name, [matmul = std::move(matmul), a, b, output](const Frame& frame) {
    matmul->run(frame.read(*a), frame.read(*b), frame.write(*output), frame.scratch,
                *frame.parallel);
  });
}

}  // namespace enn

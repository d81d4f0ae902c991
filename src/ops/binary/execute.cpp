#include <algorithm>

#include "kernels/binary/binary.hpp"
#include "kernels/quantization.hpp"
#include "kernels/split.hpp"
#include "ops/execute_checks.hpp"

namespace enn {
namespace {

// NumPy's rule: from the last dimension backwards, sizes are equal or 1.
bool broadcasts_to(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& out) {
  if (shape.size() > out.size()) return false;
  const std::size_t skip = out.size() - shape.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 1 && shape[d] != out[skip + d]) return false;
  }
  return true;
}

// In place is safe only where every element of the operand is read at its own position.
Status check_aliasing(const TensorInfo& operand, const TensorInfo& output) {
  if (operand.shape == output.shape) return {};
  return check_not_in_place("Binary", operand, output);
}

// Outer loops over the runs of the plan; a run is cut into pieces when there are few of them.
template <typename T, typename Kernel>
void run_broadcast(const BroadcastPlan& plan, const BinaryParams& params, Kernel kernel, const T* a,
                   const T* b, T* out, Parallel& parallel) {
  const std::size_t outer_rank = plan.shape.size() - 1;
  const std::int64_t run = plan.shape.back();
  const std::int64_t a_step = plan.a_strides.back();
  const std::int64_t b_step = plan.b_strides.back();
  std::int64_t outer = 1;
  for (std::size_t d = 0; d < outer_rank; ++d) outer *= plan.shape[d];
  const std::int64_t pieces = outer == 1 ? ceil_div(run, 4096) : 1;
  split(parallel, outer * pieces, ceil_div(run, pieces), [&](std::int64_t begin, std::int64_t end) {
    if (outer == 1) {
      const std::int64_t first = part_begin(run, pieces, begin);
      const std::int64_t last = part_begin(run, pieces, end);
      kernel(params, a + first * a_step, a_step, b + first * b_step, b_step, out + first,
             last - first);
      return;
    }
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t a_offset = 0;
      std::int64_t b_offset = 0;
      std::int64_t rest = i;
      for (std::size_t d = outer_rank; d-- > 0;) {
        const std::int64_t index = rest % plan.shape[d];
        rest /= plan.shape[d];
        a_offset += index * plan.a_strides[d];
        b_offset += index * plan.b_strides[d];
      }
      kernel(params, a + a_offset, a_step, b + b_offset, b_step, out + i * run, run);
    }
  });
}

template <typename T, typename Kernel>
OperatorPtr make_binary(const KernelRow<Kernel>& kernel, BroadcastPlan plan,
                        const BinaryParams& params, const TensorInfo& a, const TensorInfo& b,
                        const TensorInfo& output) {
  return make_operator(kernel.name, [plan = std::move(plan), params, run = kernel.run, &a, &b,
                                     &output](const Frame& frame) {
    run_broadcast(plan, params, run, reinterpret_cast<const T*>(frame.read(a)),
                  reinterpret_cast<const T*>(frame.read(b)),
                  reinterpret_cast<T*>(frame.write(output)), *frame.parallel);
  });
}

}  // namespace

Result<OperatorPtr> bind_binary(const program::Binary& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* a, binder.tensor(op.a()));
  ENN_ASSIGN(const TensorInfo* b, binder.tensor(op.b()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  const program::DType dtype = output->dtype;
  ENN_TRY(check_dtype("Binary output", *output, {program::DType_UInt8, program::DType_Float32}));
  ENN_TRY(check_dtype("Binary operand", *a, {dtype}));
  ENN_TRY(check_dtype("Binary operand", *b, {dtype}));
  ENN_TRY(check_range("Binary activation", op.activation_min(), op.activation_max()));

  const auto& out_shape = output->shape;
  bool fits = broadcasts_to(a->shape, out_shape) && broadcasts_to(b->shape, out_shape);
  for (std::size_t d = 0; fits && d < out_shape.size(); ++d) {
    const auto size = [&](const TensorInfo& tensor) {
      const std::size_t skip = out_shape.size() - tensor.shape.size();
      return d < skip ? 1 : tensor.shape[d - skip];
    };
    fits = out_shape[d] == std::max(size(*a), size(*b));
  }
  if (!fits) {
    return error(Code::InvalidProgram, "Binary operands ", list_str(a->shape), " and ",
                 list_str(b->shape), " do not broadcast to ", list_str(out_shape));
  }
  ENN_TRY(check_aliasing(*a, *output));
  ENN_TRY(check_aliasing(*b, *output));

  BinaryParams params;
  switch (op.kind()) {
    case program::BinaryKind_Add:
      params.op = BinaryOp::Add;
      break;
    case program::BinaryKind_Sub:
      params.op = BinaryOp::Sub;
      break;
    case program::BinaryKind_Mul:
      params.op = BinaryOp::Mul;
      break;
    default:
      return error(Code::InvalidProgram, "Binary has an unknown kind");
  }
  params.activation_min = op.activation_min();
  params.activation_max = op.activation_max();
  BroadcastPlan plan = plan_broadcast(a->shape, b->shape, out_shape);
  if (dtype == program::DType_Float32) {
    return make_binary<float>(best_kernel(kBinaryF32Kernels, binder.features()), std::move(plan),
                              params, *a, *b, *output);
  }
  for (const TensorInfo* tensor : {a, b, output}) {
    ENN_TRY(check_quantization("Binary operand", *tensor));
  }
  params.a_scale = a->scale;
  params.b_scale = b->scale;
  params.inv_scale = inverse_scale(output->scale);
  params.a_zero_point = a->zero_point;
  params.b_zero_point = b->zero_point;
  params.zero_point = output->zero_point;
  return make_binary<std::uint8_t>(best_kernel(kBinaryU8Kernels, binder.features()),
                                   std::move(plan), params, *a, *b, *output);
}

}  // namespace enn

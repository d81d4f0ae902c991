#include <array>

#include "kernels/broadcast.hpp"
#include "kernels/where/where.hpp"
#include "ops/execute_checks.hpp"

namespace enn {

Result<OperatorPtr> bind_where(const program::Where& op, Binder& binder) {
  ENN_ASSIGN(const TensorInfo* condition, binder.tensor(op.condition()));
  ENN_ASSIGN(const TensorInfo* a, binder.tensor(op.a()));
  ENN_ASSIGN(const TensorInfo* b, binder.tensor(op.b()));
  ENN_ASSIGN(const TensorInfo* output, binder.result(op.output()));
  ENN_TRY(check_dtype("Where condition", *condition, {program::DType_Bool}));
  ENN_TRY(check_dtype("Where operand", *a, {output->dtype}));
  ENN_TRY(check_dtype("Where operand", *b, {output->dtype}));
  ENN_TRY(check_broadcast("Where", std::array{condition, a, b}, *output));
  const std::size_t size = output->bytes / static_cast<std::size_t>(output->numel);
  return make_operator(
      "where",
      [plan = plan_broadcast(std::array{condition->shape, a->shape, b->shape}, output->shape), size,
       condition, a, b, output](const Frame& frame) {
        const auto* chosen = reinterpret_cast<const std::uint8_t*>(frame.read(*condition));
        const std::byte* x = frame.read(*a);
        const std::byte* y = frame.read(*b);
        std::byte* out = frame.write(*output);
        const auto bytes = static_cast<std::int64_t>(size);
        for_each_run<3>(plan, bytes, *frame.parallel, [&](const auto& at, std::int64_t to, auto n) {
          where(size, chosen + at[0], plan.step(0), x + at[1] * bytes, plan.step(1),
                y + at[2] * bytes, plan.step(2), out + to * bytes, n);
        });
      });
}

}  // namespace enn

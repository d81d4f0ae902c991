#include "kernels/binary/binary.hpp"

namespace enn {
namespace {

template <BinaryOp kOp, typename T>
auto value_of(T x, T y, std::int64_t alpha) {
  if constexpr (is_comparison(kOp)) {
    return static_cast<std::uint8_t>(compare<kOp>(x, y));
  } else if constexpr (kOp == BinaryOp::Add || kOp == BinaryOp::Sub) {
    return apply_integer<kOp>(x, apply_integer<BinaryOp::Mul>(y, static_cast<T>(alpha)));
  } else {
    return apply_integer<kOp>(x, y);
  }
}

template <BinaryOp kOp, typename T>
void run_numbers(const BinaryParams& params, const void* a, std::int64_t a_step, const void* b,
                 std::int64_t b_step, void* out, std::int64_t n) noexcept {
  using Out = decltype(value_of<kOp>(T{}, T{}, 1));
  const auto* x = static_cast<const T*>(a);
  const auto* y = static_cast<const T*>(b);
  auto* z = static_cast<Out*>(out);
  const auto alpha = static_cast<std::int64_t>(params.alpha);
  for (std::int64_t i = 0; i < n; ++i) z[i] = value_of<kOp>(x[i * a_step], y[i * b_step], alpha);
}

// A truth value computes as the integer 0 or 1, and what is not 0 is true again.
template <BinaryOp kOp>
void run_truths(const BinaryParams& params, const void* a, std::int64_t a_step, const void* b,
                std::int64_t b_step, void* out, std::int64_t n) noexcept {
  const auto* x = static_cast<const std::uint8_t*>(a);
  const auto* y = static_cast<const std::uint8_t*>(b);
  auto* z = static_cast<std::uint8_t*>(out);
  const auto alpha = static_cast<std::int64_t>(params.alpha);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t left = x[i * a_step] != 0 ? 1 : 0;
    const std::int32_t right = y[i * b_step] != 0 ? 1 : 0;
    z[i] = value_of<kOp>(left, right, alpha) != 0 ? 1 : 0;
  }
}

}  // namespace

BinaryTypedKernel binary_typed(BinaryOp op, BinaryType type) {
  return dispatch_binary(op, [&](auto constant) -> BinaryTypedKernel {
    constexpr BinaryOp kOp = decltype(constant)::value;
    if constexpr (is_comparison(kOp)) {
      if (type == BinaryType::F32) return &run_numbers<kOp, float>;
    }
    if constexpr (!is_real(kOp)) {
      if (type == BinaryType::I32) return &run_numbers<kOp, std::int32_t>;
      if (type == BinaryType::I64) return &run_numbers<kOp, std::int64_t>;
      if (type == BinaryType::Bool) return &run_truths<kOp>;
    }
    return nullptr;
  });
}

}  // namespace enn

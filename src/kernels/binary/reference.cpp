#include "kernels/binary/binary.hpp"
#include "kernels/quantization.hpp"
#include "kernels/unary_f32/functions.hpp"

namespace enn {
namespace {

float apply(BinaryOp op, float x, float y) {
  switch (op) {
    case BinaryOp::Add:
      return x + y;
    case BinaryOp::Sub:
      return x - y;
    case BinaryOp::Mul:
      return x * y;
  }
  return 0;
}

}  // namespace

void binary_u8_reference(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                         const std::uint8_t* b, std::int64_t b_step, std::uint8_t* out,
                         std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = static_cast<float>(a[i * a_step] - params.a_zero_point) * params.a_scale;
    const float y = static_cast<float>(b[i * b_step] - params.b_zero_point) * params.b_scale;
    const float z = clamp_f32(apply(params.op, x, y), params.activation_min, params.activation_max);
    out[i] =
        static_cast<std::uint8_t>(round_and_clamp(z * params.inv_scale, params.zero_point, 0, 255));
  }
}

void binary_f32_reference(const BinaryParams& params, const float* a, std::int64_t a_step,
                          const float* b, std::int64_t b_step, float* out,
                          std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = clamp_f32(apply(params.op, a[i * a_step], b[i * b_step]), params.activation_min,
                       params.activation_max);
  }
}

}  // namespace enn

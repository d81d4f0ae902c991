#include "kernels/binary/binary.hpp"
#include "kernels/quantization.hpp"
#include "kernels/unary_f32/functions.hpp"

namespace enn {
namespace {

struct Quantized {
  float scale;
  std::int32_t zero_point;
  [[nodiscard]] float real(std::uint8_t q) const {
    return static_cast<float>(q - zero_point) * scale;
  }
};

struct Real {
  [[nodiscard]] float real(float x) const { return x; }
};

std::uint8_t quantized(const BinaryParams& params, float z) {
  const float clamped = clamp_f32(z, params.activation_min, params.activation_max);
  return static_cast<std::uint8_t>(
      round_and_clamp(clamped * params.inv_scale, params.zero_point, 0, 255));
}

// store(i, a[i] op b[i]) for the run; one loop per function.
template <typename A, typename B, typename AReal, typename BReal, typename Store>
void for_each(const BinaryParams& params, AReal a_real, const A* a, std::int64_t a_step,
              BReal b_real, const B* b, std::int64_t b_step, std::int64_t n, const Store& store) {
  dispatch_binary(params.op, [&](auto constant) {
    constexpr BinaryOp kOp = decltype(constant)::value;
    if constexpr (kOp == BinaryOp::Add || kOp == BinaryOp::Sub) {
      if (params.alpha != 1.0F) {
        for (std::int64_t i = 0; i < n; ++i) {
          store(i, apply_scaled_f32<kOp>(a_real.real(a[i * a_step]), b_real.real(b[i * b_step]),
                                         params.alpha));
        }
        return;
      }
    }
    if constexpr (!is_comparison(kOp) && !is_bitwise(kOp)) {
      for (std::int64_t i = 0; i < n; ++i) {
        store(i, apply_f32<kOp>(a_real.real(a[i * a_step]), b_real.real(b[i * b_step])));
      }
    }
  });
}

}  // namespace

void binary_u8_reference(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                         const std::uint8_t* b, std::int64_t b_step, std::uint8_t* out,
                         std::int64_t n) noexcept {
  for_each(params, Quantized{params.a_scale, params.a_zero_point}, a, a_step,
           Quantized{params.b_scale, params.b_zero_point}, b, b_step, n,
           [&](std::int64_t i, float z) { out[i] = quantized(params, z); });
}

void binary_u8_f32_u8(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                      const float* b, std::int64_t b_step, std::uint8_t* out,
                      std::int64_t n) noexcept {
  for_each(params, Quantized{params.a_scale, params.a_zero_point}, a, a_step, Real{}, b, b_step, n,
           [&](std::int64_t i, float z) { out[i] = quantized(params, z); });
}

void binary_f32_reference(const BinaryParams& params, const float* a, std::int64_t a_step,
                          const float* b, std::int64_t b_step, float* out,
                          std::int64_t n) noexcept {
  for_each(params, Real{}, a, a_step, Real{}, b, b_step, n, [&](std::int64_t i, float z) {
    out[i] = clamp_f32(z, params.activation_min, params.activation_max);
  });
}

}  // namespace enn

// Elementwise functions of two operands with NumPy's broadcasting; `op` is one of functions.hpp.
//
// UInt8, each step rounded to float32 and none fused, as the Q/DQ model computes it in eager
// PyTorch:
//   x = float(a - a_zero_point) * a_scale,  y = float(b - b_zero_point) * b_scale
//   z = clamp(x op y, activation_min, activation_max)
//   out = clamp(round_half_even(z * inv_scale) + zero_point, 0, 255);   NaN gives 0
// Float32: out = clamp(a op b, activation_min, activation_max), NaN stays NaN.
// Add and Sub scale y by alpha, fused with the sum where it is not 1.
#pragma once

#include <cstdint>

#include "kernels/binary/functions.hpp"
#include "kernels/kernel_row.hpp"

namespace enn {

struct BinaryParams {
  BinaryOp op = BinaryOp::Add;
  float activation_min = 0;
  float activation_max = 0;
  float alpha = 1;
  // UInt8 only:
  float a_scale = 1;
  float b_scale = 1;
  float inv_scale = 1;
  std::int32_t a_zero_point = 0;
  std::int32_t b_zero_point = 0;
  std::int32_t zero_point = 0;
};

// A run of n consecutive results. a_step and b_step are 0 (one value for the whole run) or 1
// element.
using BinaryU8Kernel = void (*)(const BinaryParams& params, const std::uint8_t* a,
                                std::int64_t a_step, const std::uint8_t* b, std::int64_t b_step,
                                std::uint8_t* out, std::int64_t n) noexcept;
using BinaryF32Kernel = void (*)(const BinaryParams& params, const float* a, std::int64_t a_step,
                                 const float* b, std::int64_t b_step, float* out,
                                 std::int64_t n) noexcept;

#define ENN_BINARY_U8(name, ...)                                                    \
  void name(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step, \
            const std::uint8_t* b, std::int64_t b_step, std::uint8_t* out,          \
            std::int64_t n) noexcept;
#define ENN_BINARY_F32(name, ...)                                                            \
  void name(const BinaryParams& params, const float* a, std::int64_t a_step, const float* b, \
            std::int64_t b_step, float* out, std::int64_t n) noexcept;
#include "kernels/binary/kernels.def"
#undef ENN_BINARY_U8
#undef ENN_BINARY_F32

inline constexpr KernelRow<BinaryU8Kernel> kBinaryU8Kernels[] = {
#define ENN_BINARY_U8(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_BINARY_F32(name, ...)
#include "kernels/binary/kernels.def"
#undef ENN_BINARY_U8
#undef ENN_BINARY_F32
};
inline constexpr KernelRow<BinaryF32Kernel> kBinaryF32Kernels[] = {
#define ENN_BINARY_U8(name, ...)
#define ENN_BINARY_F32(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/binary/kernels.def"
#undef ENN_BINARY_U8
#undef ENN_BINARY_F32
};

// As BinaryU8Kernel with y = b in float32.
void binary_u8_f32_u8(const BinaryParams& params, const std::uint8_t* a, std::int64_t a_step,
                      const float* b, std::int64_t b_step, std::uint8_t* out,
                      std::int64_t n) noexcept;

// Element types of what is not quantized.
enum class BinaryType : std::uint8_t { F32, I32, I64, Bool };

// Comparisons of any type to Bool, integer arithmetic, and logic on Bool, whose bytes count as true
// when they are not 0. Precondition: op is defined on the type. In integer arithmetic alpha is an
// integer.
using BinaryTypedKernel = void (*)(const BinaryParams& params, const void* a, std::int64_t a_step,
                                   const void* b, std::int64_t b_step, void* out,
                                   std::int64_t n) noexcept;
// nullptr when op is not defined on the type, or is arithmetic in F32.
[[nodiscard]] BinaryTypedKernel binary_typed(BinaryOp op, BinaryType type);

}  // namespace enn

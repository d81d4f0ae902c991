// Layer, group, instance and RMS norm: rows [begin, end) of `length` elements, each normalized
// alone. Element i of row r has parameter p = (r % groups) * (length / inner) + i / inner.
//
// On float32, sums in double, eight of every eighth element in order, then
// ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)):
//   mean = sum / length (0 unless `center`), variance = sum of (x - mean)^2 / length, in double
//   m = f32(mean), r = f32(1 / sqrt(variance + eps)), out = fma(f32(f32(x - m) * r), weight[p],
//   bias[p])
// On bytes, with S and Q the exact sums of q - z and (q - z)^2, z the zero point (any, when
// `center`, as it cancels):
//   mean = S / length (0 unless `center`), variance = (length Q - S^2) / length^2, else Q / length
//   a = f32(scale / sqrt(scale^2 variance + eps)), b = f32(-(z + mean) * scale / sqrt(…)), in
//   double out = round_and_clamp(fma(fma(q, a, b), weight[p], bias[p]))
#pragma once

#include <cstdint>

#include "kernels/kernel_row.hpp"

namespace enn {

// Preconditions: length is a multiple of inner; on bytes length <= 2^23, zero points lie in [0,
// 255].
struct NormalizeParams {
  std::int64_t length = 1;
  std::int64_t groups = 1;
  std::int64_t inner = 1;
  bool center = true;
  float eps = 0;
  const float* weight = nullptr;  // [groups * length / inner]; in steps of the result on bytes
  const float* bias = nullptr;
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t output_zero_point = 0;
};

// fma(q, scale, shift) is the normalized row.
struct NormalizedRow {
  float scale = 1;
  float shift = 0;
};
// S and Q of the contract.
[[nodiscard]] NormalizedRow normalized_row(const NormalizeParams& params, std::int64_t sum,
                                           std::int64_t squares) noexcept;
// 1 / sqrt(variance + eps), rounded.
[[nodiscard]] float reciprocal_deviation(double variance, float eps) noexcept;

using NormalizeF32Kernel = void (*)(const NormalizeParams& params, const float* in,
                                    std::int64_t begin, std::int64_t end, float* out) noexcept;
using NormalizeU8Kernel = void (*)(const NormalizeParams& params, const std::uint8_t* in,
                                   std::int64_t begin, std::int64_t end,
                                   std::uint8_t* out) noexcept;

#define ENN_NORMALIZE_F32(name, ...)                                                              \
  void name(const NormalizeParams& params, const float* in, std::int64_t begin, std::int64_t end, \
            float* out) noexcept;
#define ENN_NORMALIZE_U8(name, ...)                                                    \
  void name(const NormalizeParams& params, const std::uint8_t* in, std::int64_t begin, \
            std::int64_t end, std::uint8_t* out) noexcept;
#include "kernels/normalize/kernels.def"
#undef ENN_NORMALIZE_F32
#undef ENN_NORMALIZE_U8

inline constexpr KernelRow<NormalizeF32Kernel> kNormalizeF32Kernels[] = {
#define ENN_NORMALIZE_F32(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_NORMALIZE_U8(name, ...)
#include "kernels/normalize/kernels.def"
#undef ENN_NORMALIZE_F32
#undef ENN_NORMALIZE_U8
};
inline constexpr KernelRow<NormalizeU8Kernel> kNormalizeU8Kernels[] = {
#define ENN_NORMALIZE_F32(name, ...)
#define ENN_NORMALIZE_U8(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/normalize/kernels.def"
#undef ENN_NORMALIZE_F32
#undef ENN_NORMALIZE_U8
};

}  // namespace enn

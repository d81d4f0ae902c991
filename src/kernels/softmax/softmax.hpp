// Softmax and its logarithm along one dimension of [count][inner], for columns [begin, end) of
// `inner`.
//
// On float32, with m the maximum of the column (NaN takes part in none) and
//   e[i] = exp(x[i] - m)             (kernels/exp_f32.hpp)
//   s    = sum of e: eight sums of every eighth element in order, then
//          ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
// the result is e[i] / s, or f32(x[i] - m) - f32(log(s)) with the logarithm taken in double.
// `safe`: a column of -inf gives 0. On bytes, with d = (greatest byte - x), x[i] - m is f32(-d *
// scale), the rest is the same, and the result v is quantized: round_and_clamp(v * inv_scale).
// `out` does not overlap `in`.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/kernel_row.hpp"

namespace enn {

struct SoftmaxParams {
  std::int64_t count = 1;
  std::int64_t inner = 1;
  bool log = false;
  bool safe = false;
};

// Preconditions: scale and inv_scale are finite and positive; zero_point in [0, 255]; 1 <= count <
// 2^24.
struct SoftmaxU8Params {
  std::int64_t count = 1;
  std::int64_t inner = 1;
  bool log = false;
  float scale = 1;
  float inv_scale = 1;
  std::int32_t zero_point = 0;
  std::array<float, 256> exp{};  // exp(f32(-d * scale))
};

using SoftmaxF32Kernel = void (*)(const SoftmaxParams& params, const float* in, std::int64_t begin,
                                  std::int64_t end, float* out) noexcept;
using SoftmaxU8Kernel = void (*)(const SoftmaxU8Params& params, const std::uint8_t* in,
                                 std::int64_t begin, std::int64_t end, std::uint8_t* out) noexcept;

#define ENN_SOFTMAX_F32(name, ...)                                                              \
  void name(const SoftmaxParams& params, const float* in, std::int64_t begin, std::int64_t end, \
            float* out) noexcept;
#define ENN_SOFTMAX_U8(name, ...)                                                      \
  void name(const SoftmaxU8Params& params, const std::uint8_t* in, std::int64_t begin, \
            std::int64_t end, std::uint8_t* out) noexcept;
#include "kernels/softmax/kernels.def"
#undef ENN_SOFTMAX_F32
#undef ENN_SOFTMAX_U8

inline constexpr KernelRow<SoftmaxF32Kernel> kSoftmaxF32Kernels[] = {
#define ENN_SOFTMAX_F32(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_SOFTMAX_U8(name, ...)
#include "kernels/softmax/kernels.def"
#undef ENN_SOFTMAX_F32
#undef ENN_SOFTMAX_U8
};
inline constexpr KernelRow<SoftmaxU8Kernel> kSoftmaxU8Kernels[] = {
#define ENN_SOFTMAX_F32(name, ...)
#define ENN_SOFTMAX_U8(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/softmax/kernels.def"
#undef ENN_SOFTMAX_F32
#undef ENN_SOFTMAX_U8
};

// The table of SoftmaxU8Params.
[[nodiscard]] std::array<float, 256> softmax_exp_table(float scale);

}  // namespace enn

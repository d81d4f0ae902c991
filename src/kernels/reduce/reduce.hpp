// Mean over the middle dimension of [outer][count][inner]; these kernels see one `outer`.
//
// UInt8:   out[i] = clamp(round_half_even(float(sum over j of (in[j][i] - input_zero_point)) *
// multiplier)
//                         + zero_point, 0, 255),   the sum exact in int32
//          multiplier = float(input_scale / (count * output_scale)), computed in double
// Float32: out[i] = float(sum over j of double(in[j][i]) / count), in the order of j
#pragma once

#include <cstdint>

#include "kernels/kernel_row.hpp"

namespace enn {

// Preconditions: 1 <= count <= 2^23, zero points in [0, 255].
struct MeanParams {
  std::int64_t count = 1;
  std::int64_t inner = 1;  // elements between two summands
  float multiplier = 1;
  std::int32_t input_zero_point = 0;
  std::int32_t zero_point = 0;
};

// Computes results [begin, end) of the `inner` ones.
using MeanU8Kernel = void (*)(const MeanParams& params, const std::uint8_t* in, std::int64_t begin,
                              std::int64_t end, std::uint8_t* out) noexcept;

#define ENN_KERNEL(name, ...)                                                     \
  void name(const MeanParams& params, const std::uint8_t* in, std::int64_t begin, \
            std::int64_t end, std::uint8_t* out) noexcept;
#include "kernels/reduce/kernels.def"
#undef ENN_KERNEL

inline constexpr KernelRow<MeanU8Kernel> kMeanU8Kernels[] = {
#define ENN_KERNEL(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/reduce/kernels.def"
#undef ENN_KERNEL
};

void mean_f32(const MeanParams& params, const float* in, std::int64_t begin, std::int64_t end,
              float* out) noexcept;

}  // namespace enn

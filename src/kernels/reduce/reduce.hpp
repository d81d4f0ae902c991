// Reductions of the middle dimension of [outer][count][inner]; these kernels see one `outer` and
// compute results [begin, end) of the `inner` ones.
//
// Mean, and Sum with another multiplier:
// UInt8:   out[i] = clamp(round_half_even(float(sum over j of (in[j][i] - input_zero_point)) *
// multiplier)
//                         + zero_point, 0, 255),   the sum exact in int32
//          multiplier = float(input_scale / (count * output_scale)), computed in double
// Float32: out[i] = float(sum over j of double(in[j][i]) / divisor), in the order of j
#pragma once

#include <cstdint>

#include "kernels/kernel_row.hpp"
#include "kernels/reduce/functions.hpp"

namespace enn {

// Preconditions: 1 <= count <= 2^23, zero points in [0, 255].
struct MeanParams {
  std::int64_t count = 1;
  std::int64_t inner = 1;  // elements between two summands
  float multiplier = 1;
  std::int32_t input_zero_point = 0;
  std::int32_t zero_point = 0;
};

using MeanU8Kernel = void (*)(const MeanParams& params, const std::uint8_t* in, std::int64_t begin,
                              std::int64_t end, std::uint8_t* out) noexcept;

// `divisor` is 1 for a sum.
using MeanF32Kernel = void (*)(const MeanParams& params, double divisor, const float* in,
                               std::int64_t begin, std::int64_t end, float* out) noexcept;

#define ENN_MEAN_U8(name, ...)                                                    \
  void name(const MeanParams& params, const std::uint8_t* in, std::int64_t begin, \
            std::int64_t end, std::uint8_t* out) noexcept;
#define ENN_MEAN_F32(name, ...)                                                            \
  void name(const MeanParams& params, double divisor, const float* in, std::int64_t begin, \
            std::int64_t end, float* out) noexcept;
#include "kernels/reduce/kernels.def"
#undef ENN_MEAN_U8
#undef ENN_MEAN_F32

inline constexpr KernelRow<MeanU8Kernel> kMeanU8Kernels[] = {
#define ENN_MEAN_U8(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_MEAN_F32(name, ...)
#include "kernels/reduce/kernels.def"
#undef ENN_MEAN_U8
#undef ENN_MEAN_F32
};
inline constexpr KernelRow<MeanF32Kernel> kMeanF32Kernels[] = {
#define ENN_MEAN_U8(name, ...)
#define ENN_MEAN_F32(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/reduce/kernels.def"
#undef ENN_MEAN_U8
#undef ENN_MEAN_F32
};

// The product in double, in the order of j, rounded once.
void prod_f32(const MeanParams& params, const float* in, std::int64_t begin, std::int64_t end,
              float* out) noexcept;
// sum of (in[j] - mean)^2 / divisor, both passes in double and in the order of j; with `root` its
// square root.
void variance_f32(const MeanParams& params, double divisor, bool root, const float* in,
                  std::int64_t begin, std::int64_t end, float* out) noexcept;

// In integers modulo 2^64.
template <typename T>
void sum_integers(const MeanParams& params, const T* in, std::int64_t begin, std::int64_t end,
                  std::int64_t* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    std::uint64_t sum = 0;
    for (std::int64_t j = 0; j < params.count; ++j) {
      sum += static_cast<std::uint64_t>(in[j * params.inner + i]);
    }
    out[i] = static_cast<std::int64_t>(sum);
  }
}

template <typename T>
void prod_integers(const MeanParams& params, const T* in, std::int64_t begin, std::int64_t end,
                   std::int64_t* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    std::uint64_t product = 1;
    for (std::int64_t j = 0; j < params.count; ++j) {
      product *= static_cast<std::uint64_t>(in[j * params.inner + i]);
    }
    out[i] = static_cast<std::int64_t>(product);
  }
}

template <typename T, typename Better>
void extreme_values(const MeanParams& params, const T* in, std::int64_t begin, std::int64_t end,
                    T* out) noexcept {
  if (params.inner == 1) {
    T best = in[0];
    for (std::int64_t j = 1; j < params.count; ++j) best = Better()(in[j], best) ? in[j] : best;
    out[0] = best;
    return;
  }
  for (std::int64_t i = begin; i < end; ++i) out[i] = in[i];
  for (std::int64_t j = 1; j < params.count; ++j) {
    const T* row = in + j * params.inner;
    for (std::int64_t i = begin; i < end; ++i) out[i] = Better()(row[i], out[i]) ? row[i] : out[i];
  }
}

// The first place of the value that extreme_values gives.
template <typename T, typename Better>
void extreme_places(const MeanParams& params, const T* in, std::int64_t begin, std::int64_t end,
                    std::int64_t* out) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    std::int64_t place = 0;
    T best = in[i];
    for (std::int64_t j = 1; j < params.count; ++j) {
      const T x = in[j * params.inner + i];
      if (!Better()(x, best)) continue;
      best = x;
      place = j;
    }
    out[i] = place;
  }
}

}  // namespace enn

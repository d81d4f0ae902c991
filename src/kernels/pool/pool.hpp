// Pooling over one window of an NHWC image: the `channels` values of one output pixel.
//
// Maximum: out[c] = max over the window; for Float32, NaN in the window gives NaN.
// Average of UInt8, each step rounded to float32, as the Q/DQ model computes it in eager PyTorch:
//   sum = 0, then sum += float(x - input_zero_point) * input_scale in row-major order of the window
//   out = clamp(round_half_even(sum / divisor * inv_scale) + zero_point, 0, 255)
// Average of Float32: the same sum of the values themselves, divided by divisor.
#pragma once

#include <cstdint>

#include "kernels/kernel_row.hpp"

namespace enn {

enum class PoolOp : std::uint8_t { MaxU8, MaxF32, AverageU8, AverageF32 };

// The part of a window that lies inside the input. Strides are in bytes. rows, columns >= 0; an
// empty window has the sum 0 and the maximum 0 or -infinity.
struct PoolWindow {
  const void* first = nullptr;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  float divisor = 1;
};

struct PoolParams {
  std::int64_t channels = 1;
  // AverageU8 only:
  float input_scale = 1;
  float inv_scale = 1;
  std::int32_t input_zero_point = 0;
  std::int32_t zero_point = 0;
};

// `out`: channels values of the operator's type. It does not overlap the window.
using PoolRun = void (*)(const PoolParams& params, const PoolWindow& window, void* out) noexcept;

struct PoolKernel {
  const char* name;
  CpuFeatures needs;
  PoolOp op;
  PoolRun run;
};

#define ENN_POOL(op, name, ...) \
  void name(const PoolParams& params, const PoolWindow& window, void* out) noexcept;
#include "kernels/pool/kernels.def"
#undef ENN_POOL

inline constexpr PoolKernel kPoolKernels[] = {
#define ENN_POOL(op, name, ...) {#name, needs(__VA_ARGS__), PoolOp::op, name},
#include "kernels/pool/kernels.def"
#undef ENN_POOL
};

// The first row for `op` that `features` allow.
[[nodiscard]] const PoolKernel& best_pool_kernel(PoolOp op, CpuFeatures features);

}  // namespace enn

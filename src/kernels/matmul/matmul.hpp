// Products of matrices whose both sides are computed at run time, in batches.
//
// On float32:  out[i][j] = acc, acc = bias[j], then fma(a[i][k], b[k][j], acc) for k in order
// On bytes:    out[i][j] = clamp(round_half_even(fma(float(acc), multiplier, bias[j])) +
//                                output_zero_point, 0, 255)
//              acc = sum over k of (a[i][k] - a_zero_point) * (b[k][j] - b_zero_point), exact in
//              int32
//
// Matrices are dense and row-major; b is [k][j], or [j][k] when transpose_b. Every implementation
// gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/cpu_features.hpp"
#include "enn/parallel.hpp"

namespace enn {

// A dimension in front of the matrices; strides count matrices and are 0 where the operand
// broadcasts.
struct MatMulBatchDim {
  std::int64_t size = 1;
  std::int64_t a_stride = 0;
  std::int64_t b_stride = 0;
};

// Preconditions: sizes are positive and their products fit in int64; for bytes depth * 255 * 255 <
// 2^31, zero points lie in [0, 255], multiplier and bias are finite. b_count is the number of
// matrices that b holds.
struct MatMulProblem {
  bool is_float = false;
  std::int64_t rows = 1, depth = 1, columns = 1;
  bool transpose_b = false;
  std::vector<MatMulBatchDim> batch;  // outermost first
  std::int64_t b_count = 1;
  const float* bias = nullptr;  // [columns]
  float multiplier = 0;
  std::int32_t a_zero_point = 0;
  std::int32_t b_zero_point = 0;
  std::int32_t output_zero_point = 0;

  [[nodiscard]] std::int64_t batch_count() const {
    std::int64_t count = 1;
    for (const MatMulBatchDim& dim : batch) count *= dim.size;
    return count;
  }
};

// A product prepared for one kernel.
class MatMul {
 public:
  virtual ~MatMul() = default;
  [[nodiscard]] virtual const char* name() const noexcept = 0;
  // Bytes that run() needs at `scratch`, for the thread count it was made for.
  [[nodiscard]] virtual std::size_t scratch_bytes() const noexcept = 0;
  // `out` overlaps neither operand; reads nothing outside of them. `scratch` is 64-byte aligned.
  virtual void run(const std::byte* a, const std::byte* b, std::byte* out, std::byte* scratch,
                   Parallel& parallel) const noexcept = 0;
};

// One row of kernels.def.
struct MatMulKernel {
  const char* name;
  CpuFeatures needs;
  bool is_float;
  std::unique_ptr<MatMul> (*make)(const MatMulProblem& problem, int max_threads);
};

// All rows, best first; the references are last.
[[nodiscard]] std::span<const MatMulKernel> matmul_kernels();
// The first row for the problem's type that `features` allow. The pointers in `problem` are needed
// only during the call.
[[nodiscard]] std::unique_ptr<MatMul> make_matmul(const MatMulProblem& problem,
                                                  CpuFeatures features, int max_threads);

}  // namespace enn

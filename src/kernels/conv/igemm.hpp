// Convolution as a matrix product: rows are output pixels, columns are output channels of one
// group, and the depth runs over r, s, c. Blocks of rows are gathered ("packed") into scratch
// memory, weights are packed at load. What a kernel decides is the register tile, the element type
// and how both sides are packed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/conv/conv.hpp"

namespace enn {

// Which input bytes make up a row.
struct IgemmGather {
  ConvGeometry geometry;
  const std::uint8_t* input = nullptr;
  const std::uint8_t* input_end = nullptr;
  std::int64_t channel = 0;  // first input channel of the group
  std::int32_t input_zero_point = 0;
};

// One call of a register tile:
//   acc[i][j] = start + sum over d of a[i][d] * b[d][j],  i < rows, j < columns
// where start is `partial` unless `first`, else init[j] + row_init[i]; the sum goes to `partial`
// unless `last`, else through the epilogue of conv.hpp to `out`.
struct IgemmTile {
  const std::byte* a = nullptr;  // packed rows, a_stride bytes apart
  std::int64_t a_stride = 0;
  const std::byte* b = nullptr;  // packed [depth / kr][nr][kr]
  std::int64_t depth = 0;        // in units of kr
  std::int64_t rows = 0;         // 1 … mr
  std::int64_t columns = 0;      // 1 … nr
  bool first = true;
  bool last = true;
  // [mr][nr], 64-byte aligned; the last call of a tile with a function uses it too
  std::int32_t* partial = nullptr;
  const std::int32_t* init = nullptr;      // [nr], as multiplier and bias, padded with zeros
  const std::int32_t* row_init = nullptr;  // [rows], or null for zeros
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  float low = 0;   // output_min - zero_point
  float high = 0;  // output_max - zero_point
  std::int32_t zero_point = 0;
  std::uint8_t* out = nullptr;  // writes exactly rows x columns bytes
  std::int64_t out_stride = 0;
  ConvResidual residual;
  ConvFunction function;
  const float* slopes = nullptr;  // [nr], padded with zeros, or null: see ConvProblem
};

// Element types. S16: a = x - input_zero_point and b = w - weight_zero_point in int16; init and
// row_init are zero. U8S8: a = x and b = w as they are, padding is input_zero_point, and
//   init[j] = input_zero_point * (depth * weight_zero_point - sum over d of w[d][j])
//   row_init[i] = -weight_zero_point * sum over d of x[i][d]
enum class IgemmOperands : std::uint8_t { S16, U8S8 };

struct IgemmKernel {
  std::int64_t mr = 0;
  std::int64_t nr = 0;
  std::int64_t kr = 0;
  IgemmOperands operands{};
  // Gathers output pixels [first, first + count) as rows of `depth` elements, then zeros up to a
  // multiple of kr. May write up to 64 bytes past the last row. row_sums, unless null, receives sum
  // over d of x[i][d].
  void (*gather)(const IgemmGather& from, std::int64_t first, std::int64_t count, std::byte* rows,
                 std::int64_t row_stride, std::int32_t* row_sums) noexcept = nullptr;
  void (*tile)(const IgemmTile& tile) noexcept = nullptr;
};

// Bytes of one packed element.
[[nodiscard]] inline std::int64_t element_bytes(const IgemmKernel& kernel) {
  return kernel.operands == IgemmOperands::S16 ? 2 : 1;
}

// Units of kr elements in one K block of `depth_units`: a block of one panel stays in the
// first-level cache.
[[nodiscard]] std::int64_t igemm_block_units(const IgemmKernel& kernel, std::int64_t depth_units);
// Bytes between two packed rows.
[[nodiscard]] std::int64_t igemm_row_stride(const IgemmKernel& kernel, std::int64_t depth_units);
// Rows of one block: they stay in the second-level cache.
[[nodiscard]] std::int64_t igemm_max_rows(const IgemmKernel& kernel, std::int64_t row_stride);

// Bytes of IgemmBlock::partial for up to `rows` rows.
[[nodiscard]] std::int64_t igemm_partial_bytes(const IgemmKernel& kernel, std::int64_t rows,
                                               std::int64_t depth_units,
                                               const ConvFunction& function);

// Packed rows times neighbouring panels, through the epilogue.
struct IgemmBlock {
  const std::byte* a = nullptr;
  std::int64_t row_stride = 0;
  const std::int32_t* row_init = nullptr;  // or null for zeros
  std::int64_t rows = 0;
  const std::byte* b = nullptr;  // [panels][depth_units][nr][kr]
  std::int64_t depth_units = 0;
  std::int64_t block_units = 0;
  const std::int32_t* init = nullptr;  // [panels * nr], as the two below
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  std::int64_t columns = 0;  // of all panels
  float low = 0;             // as in IgemmTile
  float high = 0;
  std::int32_t zero_point = 0;
  // igemm_partial_bytes() for the rows, 64-byte aligned
  std::int32_t* partial = nullptr;
  std::uint8_t* out = nullptr;
  std::int64_t out_stride = 0;
  ConvResidual residual;
  ConvFunction function;
  const float* slopes = nullptr;  // [panels * nr], or null
};
void run_igemm_block(const IgemmKernel& kernel, const IgemmBlock& block) noexcept;

[[nodiscard]] std::unique_ptr<Conv> make_igemm_conv(const char* name, const IgemmKernel& kernel,
                                                    const ConvProblem& problem, int max_threads);

}  // namespace enn

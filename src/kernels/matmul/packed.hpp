// What the rows of kernels.def refer to: functions that pack columns of b, and the float tile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/conv/conv_tables.hpp"
#include "kernels/matmul/matmul.hpp"

namespace enn {

// Neighbouring columns of b, at most nr of them.
struct MatMulColumns {
  const std::byte* b = nullptr;  // the first column's first element
  std::int64_t stride = 0;       // elements between rows of b as it lies in memory
  bool transposed = false;       // b lies as [columns][depth]
  std::int64_t depth = 0;
  std::int64_t count = 0;
  std::int64_t nr = 0;
  std::int32_t zero_point = 0;
};

// Packs into [ceil(depth / kr)][nr][kr] at a 64-byte boundary. c4: bytes less 128, and sums[j] is
// the sum of column j of them. c2: int16 less zero_point; sums stays as it is. f32: as they are.
// Elements behind the depth are zeros; columns behind `count` hold anything.
using PackMatMul = void (*)(const MatMulColumns& columns, std::byte* packed,
                            std::int32_t* sums) noexcept;

// `rows` rows of a (`depth` apart) times packed panels of 16 columns, into out (`columns` apart).
// bias is padded to whole panels.
struct MatMulF32Rows {
  const float* a = nullptr;
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  const float* b = nullptr;  // [ceil(columns / 16)][depth][16]
  const float* bias = nullptr;
  std::int64_t columns = 0;
  float* out = nullptr;
};
using RunMatMulF32 = void (*)(const MatMulF32Rows& rows) noexcept;

#define ENN_MATMUL(name, tile, pack, ...) \
  void pack(const MatMulColumns& columns, std::byte* packed, std::int32_t* sums) noexcept;
#define ENN_MATMUL_F32(name, pack, run, ...)                                               \
  void pack(const MatMulColumns& columns, std::byte* packed, std::int32_t* sums) noexcept; \
  void run(const MatMulF32Rows& rows) noexcept;
#define ENN_MATMUL_REFERENCE(name, is_float) \
  [[nodiscard]] std::unique_ptr<MatMul> make_##name(const MatMulProblem& problem, int max_threads);
#include "kernels/matmul/kernels.def"
#undef ENN_MATMUL
#undef ENN_MATMUL_F32
#undef ENN_MATMUL_REFERENCE

// A product on bytes with a register tile of the convolutions.
[[nodiscard]] std::unique_ptr<MatMul> make_igemm_matmul(const char* name, const IgemmKernel& kernel,
                                                        PackMatMul pack,
                                                        const MatMulProblem& problem,
                                                        int max_threads);

// Where the matrices of batch `index` begin, counted in matrices.
struct MatMulPlace {
  std::int64_t a = 0;
  std::int64_t b = 0;
};
[[nodiscard]] inline MatMulPlace matmul_place(const MatMulProblem& problem, std::int64_t index) {
  MatMulPlace place;
  for (std::size_t d = problem.batch.size(); d-- > 0;) {
    const MatMulBatchDim& dim = problem.batch[d];
    const std::int64_t i = index % dim.size;
    index /= dim.size;
    place.a += i * dim.a_stride;
    place.b += i * dim.b_stride;
  }
  return place;
}

}  // namespace enn

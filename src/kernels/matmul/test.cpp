#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/matmul/matmul.hpp"
#include "kernels/matmul/packed.hpp"
#include "kernels/test_util.hpp"

namespace enn {

#if defined(ENN_TEST_EMULATED)
extern const IgemmKernel igemm_u8_s8_u8_12x32c4_avx512vnni_emulated;
extern const IgemmKernel igemm_u8_s8_u8_6x16c4_avxvnni_emulated;
#endif

namespace {

using testing::Guarded;
using testing::Random;

struct Sizes {
  std::int64_t rows, depth, columns;
};

constexpr Sizes kSizes[] = {{1, 1, 1},    {1, 7, 33},   {5, 3, 16},    {12, 64, 32}, {13, 65, 31},
                            {50, 17, 49}, {197, 64, 9}, {7, 1200, 40}, {260, 30, 8}};

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// a has batch [2, 3], b is broadcast along the first, the second or both, or has all.
std::vector<MatMulBatchDim> batch_of(int form) {
  switch (form) {
    case 0:
      return {{2, 3, 3}, {3, 1, 1}};
    case 1:
      return {{2, 3, 0}, {3, 1, 1}};
    default:
      return {{2, 3, 1}, {3, 1, 0}};
  }
}

std::int64_t b_count_of(int form) { return form == 0 ? 6 : form == 1 ? 3 : 2; }

template <typename T>
void run(const MatMulKernel& row, const MatMulProblem& problem, const T* a, const T* b, T* out,
         int threads) {
  const auto matmul = row.make(problem, threads);
  std::vector<std::byte> memory(matmul->scratch_bytes() + 64);
  auto* scratch = reinterpret_cast<std::byte*>(
      (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64);
  const auto as_bytes = [](const T* p) { return reinterpret_cast<const std::byte*>(p); };
  if (threads == 1) {
    SerialParallel parallel;
    matmul->run(as_bytes(a), as_bytes(b), reinterpret_cast<std::byte*>(out), scratch, parallel);
  } else {
    const auto pool = make_thread_pool(threads);
    matmul->run(as_bytes(a), as_bytes(b), reinterpret_cast<std::byte*>(out), scratch, *pool);
  }
}

// Where matrix `index` of the result finds its operand in b.
std::int64_t b_index(int form, std::int64_t index) {
  return form == 0 ? index : form == 1 ? index % 3 : index / 3;
}

// The rows on bytes, and those on dot products where their instructions are emulated.
std::vector<MatMulKernel> byte_kernels() {
  std::vector<MatMulKernel> kernels;
  for (const MatMulKernel& row : matmul_kernels()) {
    if (!row.is_float && testing::cpu_has(row.needs)) kernels.push_back(row);
  }
#if defined(ENN_TEST_EMULATED)
  kernels.push_back({"emulated avx512vnni", {}, false, [](const MatMulProblem& p, int threads) {
                       return make_igemm_matmul("emulated",
                                                igemm_u8_s8_u8_12x32c4_avx512vnni_emulated,
                                                pack_matmul_u8c4_avx2, p, threads);
                     }});
  kernels.push_back({"emulated avxvnni", {}, false, [](const MatMulProblem& p, int threads) {
                       return make_igemm_matmul("emulated", igemm_u8_s8_u8_6x16c4_avxvnni_emulated,
                                                pack_matmul_u8c4_avx2, p, threads);
                     }});
#endif
  return kernels;
}

TEST(MatMul, BytesEqualIntegerArithmetic) {
  Random random(1);
  for (const Sizes& s : kSizes) {
    for (const bool transpose_b : {false, true}) {
      for (int form = 0; form < 3; ++form) {
        MatMulProblem problem;
        problem.rows = s.rows;
        problem.depth = s.depth;
        problem.columns = s.columns;
        problem.transpose_b = transpose_b;
        problem.batch = batch_of(form);
        problem.b_count = b_count_of(form);
        problem.a_zero_point = static_cast<std::int32_t>(random.integer(0, 255));
        problem.b_zero_point = form == 0 ? 128 : static_cast<std::int32_t>(random.integer(0, 255));
        problem.output_zero_point = static_cast<std::int32_t>(random.integer(0, 255));
        problem.multiplier = 0.01F / static_cast<float>(std::sqrt(s.depth));
        const Guarded<float> bias(size(s.columns));
        random.fill(bias.span(), -20.0F, 20.0F);
        problem.bias = bias.data();
        const Guarded<std::uint8_t> a(size(6 * s.rows * s.depth));
        const Guarded<std::uint8_t> b(size(problem.b_count * s.depth * s.columns));
        random.fill(a.span(), 0, 255);
        random.fill(b.span(), 0, 255);
        std::vector<std::uint8_t> expected;
        for (std::int64_t i = 0; i < 6 * s.rows; ++i) {
          for (std::int64_t j = 0; j < s.columns; ++j) {
            std::int64_t acc = 0;
            const std::uint8_t* matrix = b.data() + b_index(form, i / s.rows) * s.depth * s.columns;
            for (std::int64_t k = 0; k < s.depth; ++k) {
              const std::int64_t from = transpose_b ? j * s.depth + k : k * s.columns + j;
              acc += (a.data()[i * s.depth + k] - problem.a_zero_point) *
                     (matrix[from] - problem.b_zero_point);
            }
            const float v = std::fma(static_cast<float>(acc), problem.multiplier, bias.data()[j]);
            const float q = std::nearbyint(v) + static_cast<float>(problem.output_zero_point);
            expected.push_back(static_cast<std::uint8_t>(std::clamp(q, 0.0F, 255.0F)));
          }
        }
        for (const MatMulKernel& row : byte_kernels()) {
          for (const int threads : {1, 3}) {
            const Guarded<std::uint8_t> out(expected.size());
            run(row, problem, a.data(), b.data(), out.data(), threads);
            for (std::size_t i = 0; i < expected.size(); ++i) {
              ASSERT_EQ(out.data()[i], expected[i])
                  << row.name << " at " << i << ", " << s.rows << "x" << s.depth << "x" << s.columns
                  << " form " << form << " seed " << testing::test_seed();
            }
          }
        }
      }
    }
  }
}

TEST(MatMul, FloatsAreFusedInOrder) {
  Random random(2);
  for (const Sizes& s : kSizes) {
    for (const bool transpose_b : {false, true}) {
      for (int form = 0; form < 3; ++form) {
        MatMulProblem problem;
        problem.is_float = true;
        problem.rows = s.rows;
        problem.depth = s.depth;
        problem.columns = s.columns;
        problem.transpose_b = transpose_b;
        problem.batch = batch_of(form);
        problem.b_count = b_count_of(form);
        const Guarded<float> bias(size(s.columns));
        const Guarded<float> a(size(6 * s.rows * s.depth));
        const Guarded<float> b(size(problem.b_count * s.depth * s.columns));
        random.fill(bias.span(), -1.0F, 1.0F);
        random.fill(a.span(), -1.0F, 1.0F);
        random.fill(b.span(), -1.0F, 1.0F);
        problem.bias = bias.data();
        std::vector<float> expected;
        for (std::int64_t i = 0; i < 6 * s.rows; ++i) {
          for (std::int64_t j = 0; j < s.columns; ++j) {
            const float* matrix = b.data() + b_index(form, i / s.rows) * s.depth * s.columns;
            float acc = bias.data()[j];
            double sum = static_cast<double>(acc);
            for (std::int64_t k = 0; k < s.depth; ++k) {
              const float x = a.data()[i * s.depth + k];
              const float y = matrix[transpose_b ? j * s.depth + k : k * s.columns + j];
              acc = std::fma(x, y, acc);
              sum += static_cast<double>(x) * static_cast<double>(y);
            }
            // Rounding once per product of sums below 64 in magnitude.
            ASSERT_NEAR(static_cast<double>(acc), sum, 4e-6 * static_cast<double>(s.depth + 1));
            expected.push_back(acc);
          }
        }
        for (const MatMulKernel& row : matmul_kernels()) {
          if (!row.is_float || !testing::cpu_has(row.needs)) continue;
          for (const int threads : {1, 3}) {
            const Guarded<float> out(expected.size());
            run(row, problem, a.data(), b.data(), out.data(), threads);
            for (std::size_t i = 0; i < expected.size(); ++i) {
              ASSERT_EQ(out.data()[i], expected[i])
                  << row.name << " at " << i << " seed " << testing::test_seed();
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

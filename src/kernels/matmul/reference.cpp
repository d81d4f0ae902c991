#include <cmath>

#include "kernels/matmul/packed.hpp"
#include "kernels/quantization.hpp"
#include "kernels/split.hpp"

namespace enn {
namespace {

class ReferenceMatMul final : public MatMul {
 public:
  ReferenceMatMul(const char* name, const MatMulProblem& problem)
      : name_(name), problem_(problem), bias_(problem.bias, problem.bias + problem.columns) {}

  const char* name() const noexcept override { return name_; }
  std::size_t scratch_bytes() const noexcept override { return 0; }

  void run(const std::byte* a, const std::byte* b, std::byte* out, std::byte* /*scratch*/,
           Parallel& parallel) const noexcept override {
    const MatMulProblem& p = problem_;
    split(parallel, p.batch_count() * p.rows, p.depth * p.columns,
          [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
              const MatMulPlace place = matmul_place(p, row / p.rows);
              const std::int64_t a_row = (place.a * p.rows + row % p.rows) * p.depth;
              const std::int64_t matrix = place.b * p.depth * p.columns;
              p.is_float ? run_row(reinterpret_cast<const float*>(a) + a_row,
                                   reinterpret_cast<const float*>(b) + matrix,
                                   reinterpret_cast<float*>(out) + row * p.columns)
                         : run_row(reinterpret_cast<const std::uint8_t*>(a) + a_row,
                                   reinterpret_cast<const std::uint8_t*>(b) + matrix,
                                   reinterpret_cast<std::uint8_t*>(out) + row * p.columns);
            }
          });
  }

 private:
  void run_row(const float* a, const float* b, float* out) const {
    const auto [column, step] = strides();
    for (std::int64_t j = 0; j < problem_.columns; ++j) {
      float acc = bias_.data()[j];
      for (std::int64_t k = 0; k < problem_.depth; ++k) {
        acc = std::fma(a[k], b[j * column + k * step], acc);
      }
      out[j] = acc;
    }
  }

  void run_row(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) const {
    const auto [column, step] = strides();
    for (std::int64_t j = 0; j < problem_.columns; ++j) {
      std::int32_t acc = 0;
      for (std::int64_t k = 0; k < problem_.depth; ++k) {
        acc += (a[k] - problem_.a_zero_point) * (b[j * column + k * step] - problem_.b_zero_point);
      }
      const float scaled = std::fma(static_cast<float>(acc), problem_.multiplier, bias_.data()[j]);
      out[j] =
          static_cast<std::uint8_t>(round_and_clamp(scaled, problem_.output_zero_point, 0, 255));
    }
  }

  struct Strides {
    std::int64_t column;
    std::int64_t step;
  };
  [[nodiscard]] Strides strides() const {
    return problem_.transpose_b ? Strides{problem_.depth, 1} : Strides{1, problem_.columns};
  }

  const char* name_;
  MatMulProblem problem_;
  std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<MatMul> make_matmul_u8_reference(const MatMulProblem& problem,
                                                 int /*max_threads*/) {
  return std::make_unique<ReferenceMatMul>("matmul_u8_reference", problem);
}

std::unique_ptr<MatMul> make_matmul_f32_reference(const MatMulProblem& problem,
                                                  int /*max_threads*/) {
  return std::make_unique<ReferenceMatMul>("matmul_f32_reference", problem);
}

}  // namespace enn

#include <limits>

#include "kernels/pool/pool.hpp"
#include "kernels/quantization.hpp"

namespace enn {
namespace {

// reduce(accumulator, value) over the window's values of one channel, in row-major order.
template <typename T, typename Accumulator, typename Reduce>
Accumulator fold(const PoolWindow& window, std::int64_t channel, Accumulator accumulator,
                 const Reduce& reduce) {
  const auto* first = static_cast<const char*>(window.first);
  for (std::int64_t row = 0; row < window.rows; ++row) {
    for (std::int64_t column = 0; column < window.columns; ++column) {
      const char* pixel = first + row * window.row_stride + column * window.column_stride;
      accumulator = reduce(accumulator, reinterpret_cast<const T*>(pixel)[channel]);
    }
  }
  return accumulator;
}

}  // namespace

const PoolKernel& best_pool_kernel(PoolOp op, CpuFeatures features) {
  const PoolKernel* kernel = kPoolKernels;
  while (kernel->op != op || !features.contains(kernel->needs)) ++kernel;
  return *kernel;
}

void max_pool_u8_reference(const PoolParams& params, const PoolWindow& window, void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    result[c] =
        fold<std::uint8_t>(window, c, std::uint8_t{0},
                           [](std::uint8_t best, std::uint8_t x) { return x > best ? x : best; });
  }
}

void max_pool_f32_reference(const PoolParams& params, const PoolWindow& window,
                            void* out) noexcept {
  auto* result = static_cast<float*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    result[c] = fold<float>(window, c, -std::numeric_limits<float>::infinity(),
                            [](float best, float x) { return x > best || x != x ? x : best; });
  }
}

void average_pool_u8_reference(const PoolParams& params, const PoolWindow& window,
                               void* out) noexcept {
  auto* result = static_cast<std::uint8_t*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    const float sum = fold<std::uint8_t>(window, c, 0.0F, [&](float acc, std::uint8_t x) {
      return acc + static_cast<float>(x - params.input_zero_point) * params.input_scale;
    });
    result[c] = static_cast<std::uint8_t>(
        round_and_clamp(sum / window.divisor * params.inv_scale, params.zero_point, 0, 255));
  }
}

void average_pool_f32_reference(const PoolParams& params, const PoolWindow& window,
                                void* out) noexcept {
  auto* result = static_cast<float*>(out);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    result[c] =
        fold<float>(window, c, 0.0F, [](float acc, float x) { return acc + x; }) / window.divisor;
  }
}

}  // namespace enn

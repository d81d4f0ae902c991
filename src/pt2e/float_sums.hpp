// Sums over float tensors, in double. The number of threads has no influence on them, nor have
// instruction sets.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "enn/parallel.hpp"
#include "ir/graph.hpp"

namespace enn {

// Over the finite elements.
struct FloatSums {
  double squares = 0;
  double magnitudes = 0;
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  std::uint64_t count = 0;
  std::uint64_t not_finite = 0;

  void add(const FloatSums& other);
  // The largest magnitude; 0 without elements.
  [[nodiscard]] double largest() const;
};
[[nodiscard]] FloatSums sums_of(std::span<const float> values, Parallel& parallel);
// The squares and counts alone.
[[nodiscard]] FloatSums squares_of(std::span<const float> values, Parallel& parallel);

// What quantizing and dequantizing by `params` does to the finite elements.
struct RoundingSums {
  double result_squares = 0;
  double error_squares = 0;
  double max_difference = 0;
  // Elements more than half a step outside of what the integers reach.
  std::uint64_t clipped = 0;

  void add(const RoundingSums& other);
};
// Precondition: params.per_tensor(), with a scale above 0.
[[nodiscard]] RoundingSums rounding_of(std::span<const float> values, const QuantParams& params,
                                       Parallel& parallel);

}  // namespace enn

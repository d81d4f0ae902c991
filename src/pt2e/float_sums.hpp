// Sums over float tensors. Neither the number of threads nor the instruction set has an influence
// on them (kernels/sums/sums.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

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

// How far values are from references, over the pairs that are finite.
struct ErrorSums {
  double squares = 0;  // of the values
  double errors = 0;   // squares of the differences
  double largest = 0;  // difference
  // Values more than half a step outside of what the integers reach.
  std::uint64_t clipped = 0;
  std::uint64_t count = 0;
  std::uint64_t not_finite = 0;

  void add(const ErrorSums& other);
};
// With `params` the values are quantized and dequantized first. Preconditions: equal sizes;
// params->per_tensor(), with a scale above 0.
[[nodiscard]] ErrorSums errors_of(std::span<const float> references, std::span<const float> values,
                                  const QuantParams* params, Parallel& parallel);

// Where the channels of a tensor lie: element i is of channel i / stride % count.
struct Channels {
  std::size_t count = 0;  // 0: it has none
  std::size_t stride = 1;
};

// All in one pass: sums_of the values, errors_of each quantization of them, the largest magnitude
// in each channel, and a copy unless `copy` is null.
struct ValueSums {
  FloatSums values;
  std::vector<ErrorSums> rounded;  // by quantization
  std::vector<float> peaks;        // by channel
};
[[nodiscard]] ValueSums sums_and_roundings(std::span<const float> values,
                                           std::span<const QuantParams* const> quantizations,
                                           Channels channels, float* copy, Parallel& parallel);

}  // namespace enn

// Reductions of `count` floats, `stride` apart, in double and in their order; the kernels and the
// compiler, which computes constants, round what they give once.
#pragma once

#include <cstdint>

namespace enn {

[[nodiscard]] inline double sum_of(const float* in, std::int64_t count, std::int64_t stride) {
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) sum += static_cast<double>(in[j * stride]);
  return sum;
}

[[nodiscard]] inline double product_of(const float* in, std::int64_t count, std::int64_t stride) {
  double product = 1;
  for (std::int64_t j = 0; j < count; ++j) product *= static_cast<double>(in[j * stride]);
  return product;
}

// The squared distances from the mean, summed and divided by `divisor`.
[[nodiscard]] inline double variance_of(const float* in, std::int64_t count, std::int64_t stride,
                                        double divisor) {
  const double mean = sum_of(in, count, stride) / static_cast<double>(count);
  double squares = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    const double distance = static_cast<double>(in[j * stride]) - mean;
    squares += distance * distance;
  }
  return squares / divisor;
}

// True when x takes the place of what was best so far: NaN does, and nothing replaces it.
struct Larger {
  template <typename T>
  bool operator()(T x, T best) const {
    return x > best || (x != x && best == best);
  }
};
struct Smaller {
  template <typename T>
  bool operator()(T x, T best) const {
    return x < best || (x != x && best == best);
  }
};

}  // namespace enn

// What values a float32 tensor has: its range, and how often each part of a range occurs. The order
// of the elements does not matter.
//
// MinMax:    widens `range` by every element that is neither infinite nor NaN; counts the others.
// Histogram: counts[i] += 1 for each element in [low, high] that falls in bin i,
//            i = min(trunc((x - low) * bins / (high - low)), bins - 1), in float32, in that order.
//            Elements outside and NaN are not counted.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/kernel_row.hpp"

namespace enn {

struct Range {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  std::int64_t infinities = 0;
  std::int64_t nans = 0;
};

// Preconditions: low < high, both finite, so is (high - low) * bins; 1 <= bins <= 2^20. `counts`
// has kHistogramCopies rows of `bins` counters, which are to be added up; a tensor has fewer than
// 2^32 elements.
struct HistogramParams {
  float low = 0;
  float high = 1;
  std::int32_t bins = 0;
};
inline constexpr int kHistogramCopies = 4;

using MinMaxKernel = void (*)(const float* in, std::int64_t n, Range& range) noexcept;
using HistogramKernel = void (*)(const HistogramParams& params, const float* in, std::int64_t n,
                                 std::uint32_t* counts) noexcept;

#define ENN_MINMAX(name, ...) void name(const float* in, std::int64_t n, Range& range) noexcept;
#define ENN_HISTOGRAM(name, ...)                                            \
  void name(const HistogramParams& params, const float* in, std::int64_t n, \
            std::uint32_t* counts) noexcept;
#include "kernels/range/kernels.def"
#undef ENN_MINMAX
#undef ENN_HISTOGRAM

inline constexpr KernelRow<MinMaxKernel> kMinMaxKernels[] = {
#define ENN_MINMAX(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_HISTOGRAM(name, ...)
#include "kernels/range/kernels.def"
#undef ENN_MINMAX
#undef ENN_HISTOGRAM
};
inline constexpr KernelRow<HistogramKernel> kHistogramKernels[] = {
#define ENN_MINMAX(name, ...)
#define ENN_HISTOGRAM(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/range/kernels.def"
#undef ENN_MINMAX
#undef ENN_HISTOGRAM
};

}  // namespace enn

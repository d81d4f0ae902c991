// The histogram that an observer keeps: torchao's HistogramObserver, without a graph around it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "enn/parallel.hpp"

namespace enn {

inline constexpr int kHistogramBins = 2048;

// How often the values seen fell into each of kHistogramBins equal parts of [low, high]. The range
// grows with the values; counts move to the new bins as torchao moves them.
struct Histogram {
  float low = 0;
  float high = 0;
  std::vector<float> counts = std::vector<float>(kHistogramBins);
  bool empty = true;

  [[nodiscard]] float bin_width() const {
    return (high - low) / static_cast<float>(kHistogramBins);
  }
};

// Whether float32 can hold what the bins of [low, high] are computed from.
[[nodiscard]] bool has_bins(float low, float high);

// Adds a tensor whose finite elements lie in [low, high]. Precondition: has_bins() of the range
// together with the histogram's.
void add_values(Histogram& histogram, std::span<const float> values, float low, float high,
                Parallel& parallel);

// The same in one pass, for a tensor whose elements all lie in the range that the histogram has
// already; false, and nothing is changed, when one does not.
[[nodiscard]] bool add_values_inside(Histogram& histogram, std::span<const float> values,
                                     Parallel& parallel);

// Adds another histogram. Precondition: has_bins() of both ranges together.
void add_histogram(Histogram& histogram, const Histogram& other);

// Ranges of which values outside are clipped. Precondition: !histogram.empty.
struct ClippedRange {
  float low = 0;
  float high = 0;
};

// torchao's search: bins are taken from the ends while the squared error, estimated for a uniform
// density in each bin, falls.
[[nodiscard]] ClippedRange search_squared_error(const Histogram& histogram, int levels);

// `percent` of the values lie at or below `high`, and as many at or above `low`.
[[nodiscard]] ClippedRange search_percentile(const Histogram& histogram, double percent);

// The integers and the rounding that a range leads to.
struct Grid {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t quant_min = 0;
  std::int32_t quant_max = 255;
};
using GridOf = std::function<Grid(ClippedRange)>;

// The range whose grid has the least mean squared error, each bin standing for its centre, with a
// margin for what none of the observed tensors showed, of which there were `tensors` > 0.
[[nodiscard]] ClippedRange search_mse(const Histogram& histogram, std::uint64_t tensors,
                                      const GridOf& grid_of);
// The range whose quantized distribution has the least Kullback-Leibler divergence from the
// observed one.
[[nodiscard]] ClippedRange search_kl(const Histogram& histogram, const GridOf& grid_of);

}  // namespace enn

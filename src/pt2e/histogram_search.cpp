// Ranges that torchao has no observer for.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "pt2e/histogram.hpp"

namespace enn {

namespace {

constexpr auto kSearchedBins = static_cast<std::size_t>(kHistogramBins);
// Fractions of the observed range that are tried.
constexpr int kSteps = 128;

double bin_width_of(const Histogram& histogram) {
  return (static_cast<double>(histogram.high) - static_cast<double>(histogram.low)) /
         static_cast<double>(kSearchedBins);
}

double centre_of(const Histogram& histogram, std::size_t bin) {
  return static_cast<double>(histogram.low) +
         (static_cast<double>(bin) + 0.5) * bin_width_of(histogram);
}

double quantized(const Grid& grid, double x) {
  const double q = std::nearbyint(x / static_cast<double>(grid.scale)) + grid.zero_point;
  return std::clamp(q, static_cast<double>(grid.quant_min), static_cast<double>(grid.quant_max));
}

// A clipped value is off in one direction wherever it occurs, and what it is part of adds that up;
// roundings cancel. More so behind a relu, where all that is clipped is off in one and the same
// direction. Found on the networks of benchmarks/all_models.py.
constexpr double kWeightOfClipping = 2.5;
constexpr double kWeightOfClippingOneSide = 30;

double weight_of_clipping(const Histogram& histogram) {
  const bool one_sided = histogram.low >= 0 || histogram.high <= 0;
  return one_sided ? kWeightOfClippingOneSide : kWeightOfClipping;
}

double mean_squared_error(const Histogram& histogram, const Grid& grid) {
  const double clipping = weight_of_clipping(histogram);
  double error = 0;
  for (std::size_t i = 0; i < kSearchedBins; ++i) {
    if (histogram.counts[i] == 0) continue;
    const double x = centre_of(histogram, i);
    const auto scale = static_cast<double>(grid.scale);
    const double off = x - (quantized(grid, x) - grid.zero_point) * scale;
    const double weight = std::abs(off) > 0.5001 * scale ? clipping : 1.0;
    error += weight * static_cast<double>(histogram.counts[i]) * off * off;
  }
  return error;
}

// How far the outermost value lies beyond the 2k-th from outside, k being the number of tensors:
// about what their extremes differ by.
double gap(const Histogram& histogram, std::uint64_t tensors, bool above) {
  auto left = static_cast<double>(2 * tensors);
  std::size_t i = 0;
  for (; i < kSearchedBins; ++i) {
    left -= static_cast<double>(histogram.counts[above ? kSearchedBins - 1 - i : i]);
    if (left <= 0) break;
  }
  return static_cast<double>(i) * bin_width_of(histogram);
}

// A few tensors do not show how far others go. Of k alike, the next one goes beyond all with the
// probability 1 / (k + 1): that part of the range is added to a bound, at most a fifth, and at most
// the gap there. A bound that is clipped stays, and so does zero, which most often is what an
// operator cannot pass. The fifth and the two were found on the networks of
// benchmarks/all_models.py.
ClippedRange with_margin(const Histogram& histogram, std::uint64_t tensors, ClippedRange range) {
  constexpr double kMostAdded = 0.2;
  const double most = std::min(kMostAdded, 1.0 / (static_cast<double>(tensors) + 1)) *
                      (static_cast<double>(histogram.high) - static_cast<double>(histogram.low));
  const auto margin = [&](bool above) {
    return static_cast<float>(std::min(most, gap(histogram, tensors, above)));
  };
  if (range.low == histogram.low && range.low != 0) range.low -= margin(false);
  if (range.high == histogram.high && range.high != 0) range.high += margin(true);
  return range;
}

float fraction(float bound, int step) {
  return static_cast<float>(static_cast<double>(bound) * step / kSteps);
}

// Infinite when the grid cannot stand for something that was observed.
double divergence(const Histogram& histogram, const Grid& grid, ClippedRange range) {
  std::vector<double> expected(kSearchedBins);
  std::vector<double> sums(256);
  std::vector<int> filled(256);
  std::vector<std::size_t> levels(kSearchedBins);
  std::size_t first = kSearchedBins;
  std::size_t last = 0;
  double total = 0;
  double below = 0;
  double above = 0;
  for (std::size_t i = 0; i < kSearchedBins; ++i) {
    const auto count = static_cast<double>(histogram.counts[i]);
    const double x = centre_of(histogram, i);
    total += count;
    if (x < static_cast<double>(range.low)) {
      below += count;
      continue;
    }
    if (x > static_cast<double>(range.high)) {
      above += count;
      continue;
    }
    first = std::min(first, i);
    last = i;
    expected[i] = count;
    levels[i] = static_cast<std::size_t>(quantized(grid, x) - grid.quant_min);
    sums[levels[i]] += count;
    filled[levels[i]] += count > 0 ? 1 : 0;
  }
  if (first == kSearchedBins || total <= below + above)
    return std::numeric_limits<double>::infinity();
  const double inside = total - below - above;
  double sum = 0;
  for (std::size_t i = first; i <= last; ++i) {
    const double clipped = (i == first ? below : 0) + (i == last ? above : 0);
    const double p = (expected[i] + clipped) / total;
    if (p == 0) continue;
    // A bin that only clipped values reach has no share of its own: the smallest there is.
    const double share = expected[i] > 0 ? sums[levels[i]] / filled[levels[i]] : 1.0;
    sum += p * std::log(p / (share / inside));
  }
  return sum;
}

}  // namespace

ClippedRange search_percentile(const Histogram& histogram, double percent) {
  double total = 0;
  for (const float count : histogram.counts) total += static_cast<double>(count);
  const double outside = total * (1.0 - percent / 100.0);
  const double width = bin_width_of(histogram);
  // How far from an end of the range `outside` values lie, linear within a bin.
  const auto distance = [&](bool from_low) {
    double passed = 0;
    for (std::size_t i = 0; i < kSearchedBins; ++i) {
      const auto count =
          static_cast<double>(histogram.counts[from_low ? i : kSearchedBins - 1 - i]);
      if (passed + count > outside) {
        return (static_cast<double>(i) + (outside - passed) / count) * width;
      }
      passed += count;
    }
    return static_cast<double>(kSearchedBins) * width;
  };
  const double low = static_cast<double>(histogram.low) + distance(true);
  const double high = static_cast<double>(histogram.high) - distance(false);
  return {static_cast<float>(std::min(low, high)), static_cast<float>(std::max(low, high))};
}

ClippedRange search_mse(const Histogram& histogram, std::uint64_t tensors, const GridOf& grid_of) {
  ClippedRange best = {histogram.low, histogram.high};
  double least = mean_squared_error(histogram, grid_of(best));
  const auto consider = [&](ClippedRange range) {
    const double error = mean_squared_error(histogram, grid_of(range));
    if (error < least) {
      least = error;
      best = range;
    }
  };
  // One bound after the other, twice: the best place of each depends on the other.
  for (int round = 0; round < 2; ++round) {
    for (int step = kSteps; histogram.high > 0 && step > 0; --step) {
      consider({best.low, fraction(histogram.high, step)});
    }
    for (int step = kSteps; histogram.low < 0 && step > 0; --step) {
      consider({fraction(histogram.low, step), best.high});
    }
  }
  return with_margin(histogram, tensors, best);
}

ClippedRange search_kl(const Histogram& histogram, const GridOf& grid_of) {
  ClippedRange best = {histogram.low, histogram.high};
  // Fewer values than bins are no distribution: any cut would fit what little is left.
  double total = 0;
  for (const float count : histogram.counts) total += static_cast<double>(count);
  if (total < static_cast<double>(kSearchedBins)) return best;
  double least = std::numeric_limits<double>::infinity();
  for (int step = kSteps; step > 0; --step) {
    // A bound on the far side of zero is not moved: values beyond it would be clipped to zero.
    const ClippedRange range = {
        histogram.low < 0 ? fraction(histogram.low, step) : histogram.low,
        histogram.high > 0 ? fraction(histogram.high, step) : histogram.high};
    if (range.low > range.high) break;
    const double value = divergence(histogram, grid_of(range), range);
    if (value < least) {
      least = value;
      best = range;
    }
  }
  return best;
}

}  // namespace enn

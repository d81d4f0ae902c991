#include "pt2e/histogram.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "kernels/range/range.hpp"
#include "kernels/split.hpp"
#include "pt2e/cpu.hpp"
#include "pt2e/torch_math.hpp"

namespace enn {

namespace {

using torch_math::Linspace;

// Finer bins that counts are cut into before they move to bins of a wider range.
constexpr std::int64_t kUpsampling = 16;
constexpr std::int64_t kBins = kHistogramBins;
constexpr std::int64_t kCostOfCounting = 8;  // of one element, in the operations of kGrain

// torch.histc: bins of [low, high], or of one around a single value.
HistogramParams bins_of(float low, float high) {
  HistogramParams params = {low, high, kHistogramBins};
  if (low == high) {
    params.low = static_cast<float>(static_cast<double>(low) - 1.0);
    params.high = static_cast<float>(static_cast<double>(high) + 1.0);
  }
  return params;
}

std::vector<std::uint32_t> count(std::span<const float> values, const HistogramParams& params,
                                 Parallel& parallel) {
  std::vector<std::uint32_t> counts(kBins);
  if (params.low == params.high) {
    // Beyond 2^24 there is no float between a value and its neighbours at a distance of 1.
    counts[kBins / 2] = static_cast<std::uint32_t>(values.size());
    return counts;
  }
  const auto size = static_cast<std::int64_t>(values.size());
  const std::int64_t parts = part_count(size, kCostOfCounting, parallel.thread_count());
  const std::int64_t row = kBins * kHistogramCopies;
  std::vector<std::uint32_t> partial(static_cast<std::size_t>(row * parts));
  const auto& kernel = best_kernel(kHistogramKernels, observer_features());
  auto task = [&](int part) {
    const std::int64_t begin = part_begin(size, parts, part);
    const std::int64_t end = part_begin(size, parts, part + 1);
    kernel.run(params, values.data() + begin, end - begin, partial.data() + row * part);
  };
  parallel.run(static_cast<int>(parts), task);
  for (auto copy = partial.begin(); copy != partial.end(); copy += kBins) {
    std::transform(counts.begin(), counts.end(), copy, counts.begin(), std::plus<>());
  }
  return counts;
}

std::vector<float> as_floats(const std::vector<std::uint32_t>& counts) {
  std::vector<float> floats(counts.size());
  std::transform(counts.begin(), counts.end(), floats.begin(),
                 [](std::uint32_t n) { return static_cast<float>(n); });
  return floats;
}

// The counts of `histogram` in the bins of [low, high], which contain its own. Each bin is cut into
// kUpsampling parts, which move to the bin that their middle lies in.
std::vector<float> moved_counts(const Histogram& histogram, float low, float high) {
  if (low == histogram.low && high == histogram.high) return histogram.counts;
  if (histogram.low == histogram.high) {
    SerialParallel serial;
    std::vector<float> counts = as_floats(count({&histogram.low, 1}, bins_of(low, high), serial));
    const float total = torch_math::sum(histogram.counts);
    for (float& bin : counts) bin *= total;
    return counts;
  }
  std::vector<float> counts(kBins);
  const float part = (histogram.high - histogram.low) / static_cast<float>(kBins * kUpsampling);
  const float half = 0.5F * part;
  const Linspace begins(histogram.low, histogram.high, kBins * kUpsampling + 1);
  const Linspace edges(low, high, kBins + 1);
  std::int64_t bin = 0;  // of the middles, which ascend but for rounding
  for (std::int64_t i = 0; i < kBins * kUpsampling; ++i) {
    const float middle = begins[i] + half;
    // bin = number of edges at or below the middle, less one
    while (bin + 1 <= kBins && edges[bin + 1] <= middle) ++bin;
    while (bin >= 0 && edges[bin] > middle) --bin;
    const auto target = static_cast<std::size_t>(std::clamp<std::int64_t>(bin, 0, kBins - 1));
    counts[target] += histogram.counts[static_cast<std::size_t>(i / kUpsampling)] /
                      static_cast<float>(kUpsampling);
    bin = std::max<std::int64_t>(bin, 0);
  }
  return counts;
}

// Widens the histogram to [low, high] and adds `counts` of those bins.
void widen_and_add(Histogram& histogram, float low, float high, const std::vector<float>& counts) {
  const std::vector<float> moved = moved_counts(histogram, low, high);
  for (std::size_t i = 0; i < counts.size(); ++i) histogram.counts[i] = counts[i] + moved[i];
  histogram.low = low;
  histogram.high = high;
}

// x^3 integrated from `begin` to `end`, of a density: density * (end^3 - begin^3) / 3.
float norm(float begin, float end, float density) {
  return density * ((end * end * end - begin * begin * begin) / 3.0F);
}

// floor(position / width) in [0, levels - 1]. The quotient of two floats is never so close below an
// integer that double would round it up.
float level_of(float position, float width, float last) {
  const double quotient = static_cast<double>(position) / static_cast<double>(width);
  const double clamped = std::min(std::max(quotient, 0.0), static_cast<double>(last));
  return static_cast<float>(static_cast<std::int32_t>(clamped));
}

// The error when bins [first, last] are what `levels` integers cover.
float squared_error(const Histogram& histogram, std::int64_t first, std::int64_t last, int levels,
                    std::span<float> buffer) {
  const double width = (static_cast<double>(histogram.high) - static_cast<double>(histogram.low)) /
                       static_cast<double>(kBins);
  const double level_width = width * static_cast<double>(last - first + 1) / levels;
  if (level_width == 0.0) return 0;
  const auto bin_f32 = static_cast<float>(width);
  const auto level_f32 = static_cast<float>(level_width);
  const auto half_f32 = static_cast<float>(level_width / 2);
  const auto last_level = static_cast<float>(levels - 1);
  const float inner = (half_f32 * half_f32 * half_f32 - -half_f32 * -half_f32 * -half_f32) / 3.0F;
  for (std::int64_t i = 0; i < kBins; ++i) {
    const float begin = static_cast<float>(i - first) * bin_f32;
    const float end = begin + bin_f32;
    const float level_of_begin = level_of(begin, level_f32, last_level);
    const float level_of_end = level_of(end, level_f32, last_level);
    const float centre_of_begin = (level_of_begin + 0.5F) * level_f32;
    const float centre_of_end = level_of_end * level_f32 + half_f32;
    const float density = histogram.counts[static_cast<std::size_t>(i)] / bin_f32;
    float error = 0.0F + norm(begin - centre_of_begin, half_f32, density);
    error += (level_of_end - level_of_begin - 1.0F) * (density * inner);
    error += norm(-half_f32, end - centre_of_end, density);
    buffer[static_cast<std::size_t>(i)] = error;
  }
  return torch_math::sum(buffer);
}

}  // namespace

bool has_bins(float low, float high) {
  return (high - low) * static_cast<float>(kBins) < std::numeric_limits<float>::infinity();
}

void add_values(Histogram& histogram, std::span<const float> values, float low, float high,
                Parallel& parallel) {
  if (histogram.empty) {
    histogram.low = low;
    histogram.high = high;
    histogram.counts = as_floats(count(values, bins_of(low, high), parallel));
    histogram.empty = false;
    return;
  }
  low = std::min(low, histogram.low);
  high = std::max(high, histogram.high);
  widen_and_add(histogram, low, high, as_floats(count(values, bins_of(low, high), parallel)));
}

bool add_values_inside(Histogram& histogram, std::span<const float> values, Parallel& parallel) {
  if (histogram.empty || histogram.low == histogram.high) return false;
  const auto counts = count(values, bins_of(histogram.low, histogram.high), parallel);
  const std::uint64_t counted = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (counted != values.size()) return false;
  widen_and_add(histogram, histogram.low, histogram.high, as_floats(counts));
  return true;
}

void add_histogram(Histogram& histogram, const Histogram& other) {
  if (other.empty) return;
  if (histogram.empty) {
    histogram = other;
    return;
  }
  const float low = std::min(other.low, histogram.low);
  const float high = std::max(other.high, histogram.high);
  widen_and_add(histogram, low, high, moved_counts(other, low, high));
}

ClippedRange search_squared_error(const Histogram& histogram, int levels) {
  constexpr double kStep = 1e-5;
  const auto total = static_cast<double>(torch_math::sum(histogram.counts));
  const std::vector<float> cumulative = torch_math::cumsum(histogram.counts);
  const auto below = [&](std::int64_t bin) { return cumulative[static_cast<std::size_t>(bin)]; };
  std::vector<float> buffer(kBins);
  double alpha = 0.0;
  double beta = 1.0;
  std::int64_t first = 0;
  std::int64_t last = kBins - 1;
  double least = std::numeric_limits<double>::infinity();
  while (alpha < beta) {
    const double next_alpha = alpha + kStep;
    const double next_beta = beta - kStep;
    std::int64_t l = first;
    std::int64_t r = last;
    while (l < last && below(l) < static_cast<float>(next_alpha * total)) ++l;
    while (r > first && below(r) > static_cast<float>(next_beta * total)) --r;
    std::int64_t next_first = first;
    std::int64_t next_last = last;
    if (l - first > last - r) {
      next_first = l;
      alpha = next_alpha;
    } else {
      next_last = r;
      beta = next_beta;
    }
    if (next_first == first && next_last == last) continue;
    const double error = squared_error(histogram, next_first, next_last, levels, buffer);
    if (error > least) break;
    least = error;
    first = next_first;
    last = next_last;
  }
  const float width = histogram.bin_width();
  return {histogram.low + width * static_cast<float>(first),
          histogram.low + width * static_cast<float>(last + 1)};
}

}  // namespace enn

#include "pt2e/float_sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/quantization.hpp"
#include "kernels/split.hpp"

namespace enn {
namespace {

// Elements that are summed up together, on one thread; of these, how many in float before they are
// added in double, and how many side by side.
constexpr std::int64_t kBlock = 4096;
constexpr std::size_t kRun = 256;
constexpr std::size_t kLanes = 8;

template <typename T>
using Lanes = std::array<T, kLanes>;

double total(const Lanes<float>& lanes) {
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

// Sums of one block each, added in the order of the blocks.
template <typename Sums, typename OfBlock>
Sums sums_of_blocks(std::span<const float> values, Parallel& parallel, const OfBlock& of_block) {
  const auto size = static_cast<std::int64_t>(values.size());
  std::vector<Sums> parts(static_cast<std::size_t>(ceil_div(size, kBlock)));
  split(parallel, static_cast<std::int64_t>(parts.size()), kBlock,
        [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t part = begin; part < end; ++part) {
            const std::int64_t first = part * kBlock;
            const std::int64_t count = std::min(kBlock, size - first);
            parts[static_cast<std::size_t>(part)] = of_block(
                values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
          }
        });
  Sums sums;
  for (const Sums& part : parts) sums.add(part);
  return sums;
}

FloatSums sums_of_few(std::span<const float> values) {
  FloatSums sums;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++sums.not_finite;
      continue;
    }
    const auto wide = static_cast<double>(value);
    sums.squares += wide * wide;
    sums.magnitudes += std::fabs(wide);
    sums.low = std::min(sums.low, value);
    sums.high = std::max(sums.high, value);
    ++sums.count;
  }
  return sums;
}

// With `Ranges` all of the sums.
template <bool Ranges>
FloatSums sums_of_block(std::span<const float> values) {
  Lanes<float> low;
  Lanes<float> high;
  low.fill(std::numeric_limits<float>::infinity());
  high.fill(-std::numeric_limits<float>::infinity());
  const std::size_t whole = values.size() / kLanes * kLanes;
  FloatSums sums = sums_of_few(values.subspan(whole));
  for (std::size_t begin = 0; begin < whole; begin += kRun) {
    const std::size_t end = std::min(begin + kRun, whole);
    Lanes<float> squares{};
    Lanes<float> magnitudes{};
    for (std::size_t i = begin; i < end; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const float value = values[i + lane];
        squares[lane] += value * value;
        if (!Ranges) continue;
        magnitudes[lane] += std::fabs(value);
        low[lane] = value < low[lane] ? value : low[lane];
        high[lane] = value > high[lane] ? value : high[lane];
      }
    }
    sums.squares += total(squares);
    sums.magnitudes += total(magnitudes);
  }
  // Not so where an element is not finite, or its square too large.
  if (!std::isfinite(sums.squares)) return sums_of_few(values);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums.low = std::min(sums.low, low[lane]);
    sums.high = std::max(sums.high, high[lane]);
  }
  sums.count += whole;
  return sums;
}

class Rounding {
 public:
  explicit Rounding(const QuantParams& params)
      : scale_(params.scale()),
        inverse_(inverse_scale(params.scale())),
        low_(static_cast<float>(params.quant_min - params.zero_point())),
        high_(static_cast<float>(params.quant_max - params.zero_point())) {}

  RoundingSums operator()(std::span<const float> values) const {
    Lanes<float> largest{};
    Lanes<std::int32_t> clipped{};
    const std::size_t whole = values.size() / kLanes * kLanes;
    RoundingSums sums = of_few(values.subspan(whole));
    for (std::size_t begin = 0; begin < whole; begin += kRun) {
      const std::size_t end = std::min(begin + kRun, whole);
      Lanes<float> results{};
      Lanes<float> errors{};
      for (std::size_t i = begin; i < end; i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
          const float value = values[i + lane];
          const float result = rounded(value);
          const float difference = value - result;
          const float magnitude = std::fabs(difference);
          results[lane] += result * result;
          errors[lane] += difference * difference;
          largest[lane] = magnitude > largest[lane] ? magnitude : largest[lane];
          clipped[lane] += is_clipped(value) ? 1 : 0;
        }
      }
      sums.result_squares += total(results);
      sums.error_squares += total(errors);
    }
    if (!std::isfinite(sums.error_squares)) return of_few(values);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums.max_difference = std::max(sums.max_difference, static_cast<double>(largest[lane]));
      sums.clipped += static_cast<std::uint64_t>(clipped[lane]);
    }
    return sums;
  }

 private:
  [[nodiscard]] float rounded(float value) const {
    // To the nearest integer, ties to even: beyond 2^23 a float has no fraction.
    constexpr float kWhole = 12582912.0F;  // 3 * 2^22
    float steps = value * inverse_;
    steps = steps > low_ ? steps : low_;
    steps = steps < high_ ? steps : high_;
    return ((steps + kWhole) - kWhole) * scale_;
  }
  [[nodiscard]] bool is_clipped(float value) const {
    const float steps = value * inverse_;
    return steps < low_ - 0.5F || steps > high_ + 0.5F;
  }
  [[nodiscard]] RoundingSums of_few(std::span<const float> values) const {
    RoundingSums sums;
    for (const float value : values) {
      if (!std::isfinite(value)) continue;
      const auto result = static_cast<double>(rounded(value));
      const double difference = static_cast<double>(value) - result;
      sums.result_squares += result * result;
      sums.error_squares += difference * difference;
      sums.max_difference = std::max(sums.max_difference, std::fabs(difference));
      sums.clipped += is_clipped(value) ? 1U : 0U;
    }
    return sums;
  }

  float scale_;
  float inverse_;
  float low_;  // of what the integers reach, in steps
  float high_;
};

}  // namespace

void FloatSums::add(const FloatSums& other) {
  squares += other.squares;
  magnitudes += other.magnitudes;
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  count += other.count;
  not_finite += other.not_finite;
}

double FloatSums::largest() const {
  return count == 0 ? 0.0 : std::max(-static_cast<double>(low), static_cast<double>(high));
}

FloatSums sums_of(std::span<const float> values, Parallel& parallel) {
  return sums_of_blocks<FloatSums>(values, parallel, sums_of_block<true>);
}

FloatSums squares_of(std::span<const float> values, Parallel& parallel) {
  return sums_of_blocks<FloatSums>(values, parallel, sums_of_block<false>);
}

void RoundingSums::add(const RoundingSums& other) {
  result_squares += other.result_squares;
  error_squares += other.error_squares;
  max_difference = std::max(max_difference, other.max_difference);
  clipped += other.clipped;
}

RoundingSums rounding_of(std::span<const float> values, const QuantParams& params,
                         Parallel& parallel) {
  return sums_of_blocks<RoundingSums>(values, parallel, Rounding(params));
}

}  // namespace enn

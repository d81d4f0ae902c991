#include "pt2e/torch_math.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace enn::torch_math {

namespace {

// PyTorch sums vectors of 8 lanes, 4 of them side by side, and carries partial sums from level to
// level so that only numbers of like size are added.
constexpr std::size_t kLanes = 8;
constexpr std::size_t kRows = 4;
constexpr std::size_t kLevels = 4;
constexpr std::size_t kBlock = kLanes * kRows;

void add(float* to, const float* from) {
  for (std::size_t i = 0; i < kBlock; ++i) to[i] += from[i];
}

}  // namespace

float sum(std::span<const float> values) {
  const std::size_t vectors = values.size() / kLanes;
  const std::size_t blocks = vectors / kRows;
  const std::size_t log = blocks > 1 ? static_cast<std::size_t>(std::bit_width(blocks - 1)) : 0;
  const std::size_t power = std::max<std::size_t>(4, log / kLevels);
  const std::size_t step = std::size_t{1} << power;
  float level[kLevels][kBlock] = {};
  std::size_t block = 0;
  while (block + step <= blocks) {
    for (std::size_t i = 0; i < step; ++i, ++block) add(level[0], &values[block * kBlock]);
    for (std::size_t j = 1; j < kLevels; ++j) {
      add(level[j], level[j - 1]);
      std::fill_n(level[j - 1], kBlock, 0.0F);
      if ((block & ((step - 1) << (j * power))) != 0) break;
    }
  }
  for (; block < blocks; ++block) add(level[0], &values[block * kBlock]);
  for (std::size_t j = 1; j < kLevels; ++j) add(level[0], level[j]);

  float* lanes = level[0];
  for (std::size_t v = blocks * kRows; v < vectors; ++v) {
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] += values[v * kLanes + i];
  }
  for (std::size_t row = 1; row < kRows; ++row) {
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] += lanes[row * kLanes + i];
  }
  float total = 0;
  for (std::size_t i = vectors * kLanes; i < values.size(); ++i) total += values[i];
  for (std::size_t i = 0; i < kLanes; ++i) total += lanes[i];
  return total;
}

std::vector<float> cumsum(std::span<const float> values) {
  std::vector<float> sums(values.size());
  double total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    total += static_cast<double>(values[i]);
    sums[i] = static_cast<float>(total);
  }
  return sums;
}

Linspace::Linspace(float start, float end, std::int64_t steps)
    : start_(start),
      end_(end),
      step_((end - start) / static_cast<float>(steps - 1)),
      steps_(steps) {}

float Linspace::operator[](std::int64_t index) const {
  // Counted from the nearer end, in one rounding.
  if (index < steps_ / 2) return std::fma(step_, static_cast<float>(index), start_);
  return std::fma(-step_, static_cast<float>(steps_ - index - 1), end_);
}

}  // namespace enn::torch_math

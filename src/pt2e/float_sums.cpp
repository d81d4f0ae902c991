#include "pt2e/float_sums.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <mutex>

#include "kernels/quantization.hpp"
#include "kernels/split.hpp"
#include "kernels/sums/sums.hpp"
#include "pt2e/cpu.hpp"

namespace enn {
namespace {

// Elements that one thread sums up before it takes others. The sums of blocks are added in order.
constexpr std::int64_t kBlock = 4096;

FloatSums sums_one_by_one(std::span<const float> values) {
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

class BlockSums {
 public:
  BlockSums() : kernel_(best_kernel(kSumsKernels, observer_features())) {}

  FloatSums operator()(std::span<const float> values) const {
    const std::size_t whole = values.size() / kSumLanes * kSumLanes;
    ElementSums lanes;
    kernel_.run(values.data(), static_cast<std::int64_t>(whole), lanes);
    // An element is not finite, or its square too large for float32.
    if (!std::isfinite(lanes.squares)) return sums_one_by_one(values);
    FloatSums sums{lanes.squares, lanes.magnitudes, lanes.low, lanes.high, whole, 0};
    sums.add(sums_one_by_one(values.subspan(whole)));
    return sums;
  }

 private:
  const KernelRow<SumsKernel>& kernel_;
};

class BlockErrors {
 public:
  explicit BlockErrors(const QuantParams* params)
      : kernel_(best_kernel(kErrorsKernels, observer_features())) {
    if (params == nullptr) return;
    params_.rounds = true;
    params_.scale = params->scale();
    params_.inv_scale = inverse_scale(params->scale());
    params_.low = static_cast<float>(params->quant_min - params->zero_point());
    params_.high = static_cast<float>(params->quant_max - params->zero_point());
  }

  ErrorSums operator()(std::span<const float> references, std::span<const float> values) const {
    const std::size_t whole = values.size() / kSumLanes * kSumLanes;
    ElementErrors lanes;
    kernel_.run(params_, references.data(), values.data(), static_cast<std::int64_t>(whole), lanes);
    if (!std::isfinite(lanes.errors) || !std::isfinite(lanes.squares))
      return one_by_one(references, values);
    ErrorSums sums{lanes.squares,
                   lanes.errors,
                   static_cast<double>(lanes.largest),
                   static_cast<std::uint64_t>(lanes.clipped),
                   whole,
                   0};
    sums.add(one_by_one(references.subspan(whole), values.subspan(whole)));
    return sums;
  }

 private:
  [[nodiscard]] ErrorSums one_by_one(std::span<const float> references,
                                     std::span<const float> values) const {
    ErrorSums sums;
    for (std::size_t i = 0; i < values.size(); ++i) {
      float value = values[i];
      bool is_clipped = false;
      if (params_.rounds) {
        const float steps = value * params_.inv_scale;
        is_clipped = steps < params_.low - 0.5F || steps > params_.high + 0.5F;
        const float raised = steps > params_.low ? steps : params_.low;
        value = std::nearbyint(raised < params_.high ? raised : params_.high) * params_.scale;
      }
      if (!std::isfinite(references[i]) || !std::isfinite(value)) {
        ++sums.not_finite;
        continue;
      }
      const auto wide = static_cast<double>(value);
      const double error = static_cast<double>(references[i]) - wide;
      sums.squares += wide * wide;
      sums.errors += error * error;
      sums.largest = std::max(sums.largest, std::fabs(error));
      sums.clipped += is_clipped ? 1U : 0U;
      ++sums.count;
    }
    return sums;
  }

  const KernelRow<ErrorsKernel>& kernel_;
  ErrorParams params_;
};

// A part of the blocks of so many elements, for one thread.
struct Part {
  std::size_t first;  // block
  std::size_t last;   // the block after them
  std::size_t size;   // of the tensor

  [[nodiscard]] std::size_t begin(std::size_t block) const {
    return block * static_cast<std::size_t>(kBlock);
  }
  [[nodiscard]] std::size_t count(std::size_t block) const {
    return std::min(static_cast<std::size_t>(kBlock), size - begin(block));
  }
};

template <typename Body>
void for_parts(std::size_t size, Parallel& parallel, const Body& body) {
  const std::int64_t blocks = ceil_div(static_cast<std::int64_t>(size), kBlock);
  split(parallel, blocks, kBlock, [&](std::int64_t first, std::int64_t last) {
    body(Part{static_cast<std::size_t>(first), static_cast<std::size_t>(last), size});
  });
}

// Raises the channels' peaks by the elements that begin at `first`; infinities and NaN do not count
// where `are_finite` does not say that there are none.
void raise_peaks(std::span<const float> values, std::size_t first, const Channels& channels,
                 bool are_finite, std::span<float> peaks) {
  for (std::size_t i = 0; i < values.size();) {
    const std::size_t channel = (first + i) / channels.stride % channels.count;
    const std::size_t run = channels.stride == 1 ? channels.count - channel
                                                 : channels.stride - (first + i) % channels.stride;
    const std::span<const float> row = values.subspan(i, std::min(run, values.size() - i));
    i += row.size();
    if (!are_finite) {
      for (std::size_t k = 0; k < row.size(); ++k) {
        float& peak = peaks[channels.stride == 1 ? channel + k : channel];
        if (std::isfinite(row[k])) peak = std::max(peak, std::fabs(row[k]));
      }
    } else if (channels.stride == 1) {
      float* peak = &peaks[channel];
      for (std::size_t k = 0; k < row.size(); ++k) {
        const float magnitude = std::fabs(row[k]);
        peak[k] = magnitude > peak[k] ? magnitude : peak[k];
      }
    } else {
      float peak = peaks[channel];
      for (const float value : row) peak = std::fabs(value) > peak ? std::fabs(value) : peak;
      peaks[channel] = peak;
    }
  }
}

std::size_t block_count(std::size_t size) {
  return static_cast<std::size_t>(ceil_div(static_cast<std::int64_t>(size), kBlock));
}

template <typename Sums>
Sums total(std::span<const Sums> parts) {
  Sums sums;
  for (const Sums& part : parts) sums.add(part);
  return sums;
}

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

void ErrorSums::add(const ErrorSums& other) {
  squares += other.squares;
  errors += other.errors;
  largest = std::max(largest, other.largest);
  clipped += other.clipped;
  count += other.count;
  not_finite += other.not_finite;
}

FloatSums sums_of(std::span<const float> values, Parallel& parallel) {
  return sums_and_roundings(values, {}, {}, nullptr, parallel).values;
}

ErrorSums errors_of(std::span<const float> references, std::span<const float> values,
                    const QuantParams* params, Parallel& parallel) {
  const BlockErrors of_block(params);
  std::vector<ErrorSums> parts(block_count(values.size()));
  for_parts(values.size(), parallel, [&](const Part& part) {
    for (std::size_t block = part.first; block < part.last; ++block) {
      const std::size_t begin = part.begin(block);
      const std::size_t count = part.count(block);
      parts[block] = of_block(references.subspan(begin, count), values.subspan(begin, count));
    }
  });
  return total<ErrorSums>(parts);
}

ValueSums sums_and_roundings(std::span<const float> values,
                             std::span<const QuantParams* const> quantizations, Channels channels,
                             float* copy, Parallel& parallel) {
  const BlockSums of_block;
  const std::vector<BlockErrors> roundings(quantizations.begin(), quantizations.end());
  const std::size_t blocks = block_count(values.size());
  std::vector<FloatSums> parts(blocks);
  std::vector<ErrorSums> rounded(blocks * roundings.size());
  ValueSums sums;
  sums.peaks.assign(channels.count, 0.0F);
  std::mutex peaks_mutex;
  for_parts(values.size(), parallel, [&](const Part& part) {
    std::vector<float> peaks(channels.count);
    for (std::size_t block = part.first; block < part.last; ++block) {
      const std::size_t begin = part.begin(block);
      const std::span<const float> some = values.subspan(begin, part.count(block));
      parts[block] = of_block(some);
      for (std::size_t i = 0; i < roundings.size(); ++i)
        rounded[i * blocks + block] = roundings[i](some, some);
      if (!peaks.empty()) raise_peaks(some, begin, channels, parts[block].not_finite == 0, peaks);
      if (copy != nullptr) std::ranges::copy(some, copy + begin);
    }
    const std::lock_guard lock(peaks_mutex);
    for (std::size_t c = 0; c < peaks.size(); ++c)
      sums.peaks[c] = std::max(sums.peaks[c], peaks[c]);
  });
  sums.values = total<FloatSums>(parts);
  for (std::size_t i = 0; i < roundings.size(); ++i)
    sums.rounded.push_back(total(std::span<const ErrorSums>(rounded).subspan(i * blocks, blocks)));
  return sums;
}

}  // namespace enn

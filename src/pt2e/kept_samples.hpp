// Some of the samples that a model was calibrated on, from all parts of the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "enn/tensor.hpp"

namespace enn {

// Which samples are kept depends on their number and sizes alone: every n-th one, where n doubles
// whenever there are too many.
class KeptSamples {
 public:
  static constexpr std::size_t kMostSamples = 8;
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;

  explicit KeptSamples(std::size_t most_samples = kMostSamples, std::size_t most_bytes = kMostBytes)
      : most_samples_(most_samples), most_bytes_(most_bytes) {}

  void add(std::span<const TensorView> inputs);

  // The first that was seen, then every n-th after it. None where a single one is too large.
  [[nodiscard]] const std::vector<std::vector<Tensor>>& samples() const { return kept_; }
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  // Whether two of those that were seen differ.
  [[nodiscard]] bool differ() const { return differ_; }
  // Whether a single sample, the only one that was seen, is one of a batch of one.
  [[nodiscard]] bool is_one() const { return seen_ == 1 && batch_ <= 1; }

 private:
  void thin_out();

  std::size_t most_samples_;
  std::size_t most_bytes_;
  std::vector<std::vector<Tensor>> kept_;
  std::size_t bytes_ = 0;  // of kept_
  std::uint64_t stride_ = 1;
  std::uint64_t seen_ = 0;
  std::uint32_t first_ = 0;  // checksum of the first sample
  std::int64_t batch_ = 0;   // the first size of the first input, where it has several dimensions
  bool differ_ = false;
};

}  // namespace enn

// Figures of merit, summed in double over any number of samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// How close values are to reference values.
//   sqnr   = 10 log10(sum r^2 / sum (r - x)^2), in dB; infinite when equal
//   cosine = sum r x / sqrt(sum r^2 * sum x^2); 1 when both are all zeros
//   psnr   = 10 log10(peak^2 / (sum (r - x)^2 / n)), in dB; infinite when equal
// All are NaN where there is no finite pair to compare.
class Closeness {
 public:
  // Precondition: equal shapes. Elements that are not finite on either side are counted apart.
  void add(const TensorView& reference, const TensorView& values);
  void add(std::span<const double> reference, std::span<const double> values);

  [[nodiscard]] double sqnr() const;
  [[nodiscard]] double cosine() const;
  [[nodiscard]] double psnr(double peak) const;
  [[nodiscard]] double max_difference() const { return max_difference_; }
  [[nodiscard]] double largest_reference() const { return largest_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t not_finite() const { return not_finite_; }

 private:
  double reference_squares_ = 0;
  double value_squares_ = 0;
  double products_ = 0;
  double error_squares_ = 0;
  double max_difference_ = 0;
  double largest_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t not_finite_ = 0;
};

// The share of samples whose label is among the k largest scores. Of equal scores the first is
// larger, as torch.argmax has it; a NaN is smaller than all.
class TopK {
 public:
  // A label that is no class counts as wrong.
  void add(std::span<const double> scores, std::int64_t label);
  [[nodiscard]] double top1() const;
  [[nodiscard]] double top5() const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::uint64_t first_ = 0;
  std::uint64_t among_five_ = 0;
  std::uint64_t count_ = 0;
};

// The place of the largest score, the first of equals.
[[nodiscard]] std::int64_t largest(std::span<const double> scores);

// Mean over the classes of |both| / |either|, over all pixels of all samples; classes that are in
// neither prediction nor label do not count, nor do pixels whose label is no class (255, -1).
class MeanIou {
 public:
  explicit MeanIou(std::size_t classes) : both_(classes), predicted_(classes), labelled_(classes) {}
  // Scores are [classes][pixels]. Precondition: scores.size() == classes * labels.size().
  void add(std::span<const double> scores, std::span<const double> labels);
  [[nodiscard]] double value() const;

 private:
  std::vector<std::uint64_t> both_;
  std::vector<std::uint64_t> predicted_;
  std::vector<std::uint64_t> labelled_;
};

}  // namespace enn

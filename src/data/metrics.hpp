// Figures of merit, summed in double over any number of samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace enn {

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

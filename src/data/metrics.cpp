#include "data/metrics.hpp"

#include <algorithm>
#include <cmath>

namespace enn {
namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::int64_t largest(std::span<const double> scores) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < scores.size(); ++i) {
    if (scores[i] > scores[best] || (std::isnan(scores[best]) && !std::isnan(scores[i]))) best = i;
  }
  return static_cast<std::int64_t>(best);
}

void TopK::add(std::span<const double> scores, std::int64_t label) {
  constexpr std::size_t kMany = 5;
  ++count_;
  if (label < 0 || static_cast<std::size_t>(label) >= scores.size()) return;
  const auto at = static_cast<std::size_t>(label);
  const double score = scores[at];
  if (std::isnan(score)) return;
  std::size_t before = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > score || (scores[i] == score && i < at)) ++before;
  }
  if (before == 0) ++first_;
  if (before < kMany) ++among_five_;
}

double TopK::top1() const { return share(first_, count_); }
double TopK::top5() const { return share(among_five_, count_); }

void MeanIou::add(std::span<const double> scores, std::span<const double> labels) {
  std::vector<double> pixel(both_.size());
  for (std::size_t p = 0; p < labels.size(); ++p) {
    const double label = labels[p];
    if (!(label >= 0.0) || label >= static_cast<double>(both_.size())) continue;
    for (std::size_t c = 0; c < pixel.size(); ++c) pixel[c] = scores[c * labels.size() + p];
    const auto right = static_cast<std::size_t>(label);
    const auto given = static_cast<std::size_t>(largest(pixel));
    ++labelled_[right];
    ++predicted_[given];
    if (right == given) ++both_[right];
  }
}

double MeanIou::value() const {
  double sum = 0.0;
  std::uint64_t classes = 0;
  for (std::size_t c = 0; c < both_.size(); ++c) {
    const std::uint64_t either = labelled_[c] + predicted_[c] - both_[c];
    if (either == 0) continue;
    sum += share(both_[c], either);
    ++classes;
  }
  return classes == 0 ? 0.0 : sum / static_cast<double>(classes);
}

}  // namespace enn

#include "data/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/array.hpp"

namespace enn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double decibels(double signal, double noise) {
  if (noise == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal / noise);
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void Closeness::add(std::span<const double> reference, std::span<const double> values) {
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i];
    const double x = values[i];
    if (!std::isfinite(r) || !std::isfinite(x)) {
      ++not_finite_;
      continue;
    }
    reference_squares_ += r * r;
    value_squares_ += x * x;
    products_ += r * x;
    error_squares_ += (r - x) * (r - x);
    max_difference_ = std::max(max_difference_, std::fabs(r - x));
    largest_ = std::max(largest_, std::fabs(r));
    ++count_;
  }
}

void Closeness::add(const TensorView& reference, const TensorView& values) {
  add(to_doubles(reference), to_doubles(values));
}

double Closeness::sqnr() const {
  return count_ == 0 ? kNan : decibels(reference_squares_, error_squares_);
}

double Closeness::cosine() const {
  if (count_ == 0) return kNan;
  const double lengths = std::sqrt(reference_squares_) * std::sqrt(value_squares_);
  if (lengths == 0.0) return reference_squares_ == value_squares_ ? 1.0 : 0.0;
  return products_ / lengths;
}

double Closeness::psnr(double peak) const {
  if (count_ == 0) return kNan;
  return decibels(peak * peak, error_squares_ / static_cast<double>(count_));
}

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

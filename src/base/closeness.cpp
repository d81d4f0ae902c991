#include "base/closeness.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace enn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double decibels(double signal, double noise) {
  if (noise == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(signal / noise);
}

}  // namespace

void Closeness::add(std::span<const double> reference, std::span<const double> values) {
  Sums sums;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i];
    const double x = values[i];
    if (!std::isfinite(r) || !std::isfinite(x)) {
      ++sums.not_finite;
      continue;
    }
    sums.reference_squares += r * r;
    sums.value_squares += x * x;
    sums.error_squares += (r - x) * (r - x);
    sums.max_difference = std::max(sums.max_difference, std::fabs(r - x));
    sums.largest_reference = std::max(sums.largest_reference, std::fabs(r));
    ++sums.count;
  }
  add(sums);
}

void Closeness::add(const Sums& sums) {
  sums_.reference_squares += sums.reference_squares;
  sums_.value_squares += sums.value_squares;
  sums_.error_squares += sums.error_squares;
  sums_.max_difference = std::max(sums_.max_difference, sums.max_difference);
  sums_.largest_reference = std::max(sums_.largest_reference, sums.largest_reference);
  sums_.count += sums.count;
  sums_.not_finite += sums.not_finite;
}

double Closeness::sqnr() const {
  return sums_.count == 0 ? kNan : decibels(sums_.reference_squares, sums_.error_squares);
}

double Closeness::cosine() const {
  if (sums_.count == 0) return kNan;
  const double lengths = std::sqrt(sums_.reference_squares) * std::sqrt(sums_.value_squares);
  if (lengths == 0.0) return sums_.reference_squares == sums_.value_squares ? 1.0 : 0.0;
  // (r - x)^2 = r^2 - 2 r x + x^2
  const double products =
      (sums_.reference_squares + sums_.value_squares - sums_.error_squares) / 2.0;
  return products / lengths;
}

double Closeness::psnr(double peak) const {
  if (sums_.count == 0) return kNan;
  return decibels(peak * peak, sums_.error_squares / static_cast<double>(sums_.count));
}

double Closeness::noise_to_signal() const {
  if (sums_.count == 0) return kNan;
  return sums_.error_squares == 0.0 ? 0.0 : sums_.error_squares / sums_.reference_squares;
}

}  // namespace enn

// How close values are to reference values, summed in double over any number of tensors.
#pragma once

#include <cstdint>
#include <span>

namespace enn {

//   sqnr   = 10 log10(sum r^2 / sum (r - x)^2), in dB; infinite when equal
//   cosine = sum r x / sqrt(sum r^2 * sum x^2); 1 when both are all zeros
//   psnr   = 10 log10(peak^2 / (sum (r - x)^2 / n)), in dB; infinite when equal
// All are NaN where there is no finite pair to compare.
class Closeness {
 public:
  // Over the pairs of a reference r and a value x that both are finite.
  struct Sums {
    double reference_squares = 0;
    double value_squares = 0;
    double error_squares = 0;
    double max_difference = 0;
    double largest_reference = 0;
    std::uint64_t count = 0;
    std::uint64_t not_finite = 0;  // the other pairs
  };

  // Precondition: equal sizes. Elements that are not finite on either side are counted apart.
  void add(std::span<const double> reference, std::span<const double> values);
  void add(const Sums& sums);

  [[nodiscard]] double sqnr() const;
  [[nodiscard]] double cosine() const;
  [[nodiscard]] double psnr(double peak) const;
  // sum (r - x)^2 / sum r^2; 0 when equal.
  [[nodiscard]] double noise_to_signal() const;
  [[nodiscard]] double max_difference() const { return sums_.max_difference; }
  [[nodiscard]] double largest_reference() const { return sums_.largest_reference; }
  [[nodiscard]] std::uint64_t count() const { return sums_.count; }
  [[nodiscard]] std::uint64_t not_finite() const { return sums_.not_finite; }

 private:
  Sums sums_;
};

}  // namespace enn

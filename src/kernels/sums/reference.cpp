#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/sums/sums.hpp"

namespace enn {
namespace {

using Lanes = std::array<float, kSumLanes>;

void add_lanes(const Lanes& lanes, double& sum) {
  for (const float lane : lanes) sum += static_cast<double>(lane);
}

// To the nearest integer, ties to even: from 2^23 on a float has no fraction.
float round_half_even(float x) {
  constexpr float kWhole = 12582912.0F;  // 3 * 2^22
  return (x + kWhole) - kWhole;
}

}  // namespace

void sums_f32_reference(const float* in, std::int64_t n, ElementSums& sums) noexcept {
  for (std::int64_t begin = 0; begin < n; begin += kSumRun) {
    Lanes squares{};
    Lanes magnitudes{};
    const std::int64_t end = std::min(begin + kSumRun, n);
    for (std::int64_t i = begin; i < end; i += kSumLanes) {
      for (std::size_t lane = 0; lane < squares.size(); ++lane) {
        const float x = in[i + static_cast<std::int64_t>(lane)];
        squares[lane] += x * x;
        magnitudes[lane] += std::fabs(x);
        sums.low = x < sums.low ? x : sums.low;
        sums.high = x > sums.high ? x : sums.high;
      }
    }
    add_lanes(squares, sums.squares);
    add_lanes(magnitudes, sums.magnitudes);
  }
}

void errors_f32_f32_reference(const ErrorParams& params, const float* reference, const float* in,
                              std::int64_t n, ElementErrors& sums) noexcept {
  for (std::int64_t begin = 0; begin < n; begin += kSumRun) {
    Lanes squares{};
    Lanes errors{};
    const std::int64_t end = std::min(begin + kSumRun, n);
    for (std::int64_t i = begin; i < end; i += kSumLanes) {
      for (std::size_t lane = 0; lane < squares.size(); ++lane) {
        const std::int64_t at = i + static_cast<std::int64_t>(lane);
        float y = in[at];
        if (params.rounds) {
          const float steps = y * params.inv_scale;
          const float raised = steps > params.low ? steps : params.low;
          const float clamped = raised < params.high ? raised : params.high;
          y = round_half_even(clamped) * params.scale;
          const bool outside = steps < params.low - 0.5F || steps > params.high + 0.5F;
          sums.clipped += outside ? 1 : 0;
        }
        const float error = reference[at] - y;
        squares[lane] += y * y;
        errors[lane] += error * error;
        const float magnitude = std::fabs(error);
        sums.largest = magnitude > sums.largest ? magnitude : sums.largest;
      }
    }
    add_lanes(squares, sums.squares);
    add_lanes(errors, sums.errors);
  }
}

}  // namespace enn

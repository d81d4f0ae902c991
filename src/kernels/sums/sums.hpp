// Sums over float32 elements, by which errors are measured. Element i belongs to lane i %
// kSumLanes. Runs of kSumRun elements are summed in float32, lane by lane; the lanes of a run are
// added to the result in double, in their order.
//
// Sums:   squares += x * x; magnitudes += |x|; low = min(low, x); high = max(high, x)
// Errors: y = x, or with `rounds` clamp(x * inv_scale, low, high) rounded half to even, times
// scale;
//         e = r - y; squares += y * y; errors += e * e; largest = max(largest, |e|); clipped += 1
//         where x * inv_scale lies more than 0.5 outside of [low, high]
//
// Where an element is not finite the sums that it enters are of no use.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/kernel_row.hpp"

namespace enn {

inline constexpr std::int64_t kSumLanes = 16;
inline constexpr std::int64_t kSumRun = 256;

struct ElementSums {
  double squares = 0;
  double magnitudes = 0;
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
};

// low and high are integers of less than 2^22: the least and greatest quantized value less the zero
// point.
struct ErrorParams {
  bool rounds = false;
  float inv_scale = 1;
  float scale = 1;
  float low = 0;
  float high = 0;
};

struct ElementErrors {
  double squares = 0;
  double errors = 0;
  float largest = 0;
  std::int64_t clipped = 0;
};

// Precondition: n is a multiple of kSumLanes. `sums` is added to.
using SumsKernel = void (*)(const float* in, std::int64_t n, ElementSums& sums) noexcept;
using ErrorsKernel = void (*)(const ErrorParams& params, const float* reference, const float* in,
                              std::int64_t n, ElementErrors& sums) noexcept;

#define ENN_SUMS(name, ...) void name(const float* in, std::int64_t n, ElementSums& sums) noexcept;
#define ENN_ERRORS(name, ...)                                                                   \
  void name(const ErrorParams& params, const float* reference, const float* in, std::int64_t n, \
            ElementErrors& sums) noexcept;
#include "kernels/sums/kernels.def"
#undef ENN_SUMS
#undef ENN_ERRORS

inline constexpr KernelRow<SumsKernel> kSumsKernels[] = {
#define ENN_SUMS(name, ...) {#name, needs(__VA_ARGS__), name},
#define ENN_ERRORS(name, ...)
#include "kernels/sums/kernels.def"
#undef ENN_SUMS
#undef ENN_ERRORS
};
inline constexpr KernelRow<ErrorsKernel> kErrorsKernels[] = {
#define ENN_SUMS(name, ...)
#define ENN_ERRORS(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/sums/kernels.def"
#undef ENN_SUMS
#undef ENN_ERRORS
};

}  // namespace enn

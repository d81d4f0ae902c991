// What computes the pixels of a resampled image, of the tables Resample and GridSample.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernels/resample/resample.hpp"
#include "runtime/operator.hpp"

namespace enn {

struct PixelKernel {
  ResampleMode mode = ResampleMode::Nearest;
  ResampleRun weighted = nullptr;  // nullptr: one tap, which is copied
  std::string_view name;
  ResampleParams params;
  std::int64_t pixel_bytes = 1;

  void run(const ResamplePixel& pixel, std::byte* out) const noexcept {
    if (weighted != nullptr) return weighted(params, pixel, out);
    std::memcpy(out, static_cast<const std::byte*>(pixel.rows[0]) + pixel.columns[0],
                static_cast<std::size_t>(pixel_bytes));
  }

  // A pixel of zeros.
  void clear(std::byte* out) const noexcept {
    std::memset(out, params.zero_point, static_cast<std::size_t>(pixel_bytes));
  }

  // Taps that are read for one pixel.
  [[nodiscard]] std::int64_t cost() const { return params.channels * params.taps * params.taps; }
};

// Checks that both tensors are images of the same batch and channels and of one element type, which
// is not computed in place, and reports the cost. `table` names the table in errors.
[[nodiscard]] Result<PixelKernel> bind_pixel_kernel(std::string_view table,
                                                    program::ResampleKind kind,
                                                    const TensorInfo& input,
                                                    const TensorInfo& output, Binder& binder);

}  // namespace enn

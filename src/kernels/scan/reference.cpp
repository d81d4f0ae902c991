#include "kernels/scan/scan.hpp"

namespace enn {

void cumulative_sum_f32(const float* in, std::int64_t count, std::int64_t stride,
                        float* out) noexcept {
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    sum += static_cast<double>(in[j * stride]);
    out[j * stride] = static_cast<float>(sum);
  }
}

}  // namespace enn

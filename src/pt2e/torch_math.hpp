// Float32 operations of PyTorch on the CPU, rounded as it rounds them: sums depend on the order of
// their additions, and observers must give torchao's bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace enn::torch_math {

// torch.sum of a contiguous vector.
[[nodiscard]] float sum(std::span<const float> values);

// torch.cumsum: accumulated in double, each partial sum rounded.
[[nodiscard]] std::vector<float> cumsum(std::span<const float> values);

// torch.linspace(start, end, steps); steps >= 2.
class Linspace {
 public:
  Linspace(float start, float end, std::int64_t steps);
  [[nodiscard]] float operator[](std::int64_t index) const;

 private:
  float start_;
  float end_;
  float step_;
  std::int64_t steps_;
};

}  // namespace enn::torch_math

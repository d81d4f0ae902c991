// Tensors that models take and give.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "enn/tensor_type.hpp"

namespace enn {

// A dense, row-major tensor of the caller's, who keeps the bytes alive. `bytes` has exactly
// numel(type.shape) * size_of(type.dtype) bytes, at any address.
struct TensorView {
  TensorType type;
  std::span<const std::byte> bytes;
};

// A dense, row-major tensor that owns its bytes.
struct Tensor {
  TensorType type;
  std::vector<std::byte> bytes;

  [[nodiscard]] TensorView view() const { return {type, bytes}; }
};

}  // namespace enn

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
  TensorType type;                   // of `bytes`
  std::span<const std::byte> bytes;  // the caller's
};

// A dense, row-major tensor that owns its bytes.
struct Tensor {
  TensorType type;               // of `bytes`
  std::vector<std::byte> bytes;  // exactly those of the elements

  // Valid as long as the tensor lives and is not changed.
  [[nodiscard]] TensorView view() const { return {type, bytes}; }
};

}  // namespace enn

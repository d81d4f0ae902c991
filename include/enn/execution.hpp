#pragma once

#include <cstdint>

namespace enn {

// What the quantize and dequantize operators of a program mean.
enum class Execution : std::uint8_t {
  // As PyTorch runs them: each is computed, everything between them is float32.
  Qdq,
  // As the delegate runs them: operators between a dequantize and a quantize compute in 8 bits.
  Integer,
};

}  // namespace enn

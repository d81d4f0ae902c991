// Activation functions that a model writes as their arithmetic, as models from ONNX do.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

struct WrittenOut {
  Op op = Op::Unknown;        // Silu, Hardswish or Gelu
  std::vector<NodeId> nodes;  // in the order of execution; the last gives the function's result
};

// The function of `value` that all of its readers compute together, and nothing else:
//   silu       x sigmoid(x)
//   hardswish  x clamp(x + 3, 0, 6) / 6, or x hardsigmoid(x)
//   gelu       x (erf(x / sqrt(2)) + 1) / 2, in any order of its products
[[nodiscard]] std::optional<WrittenOut> written_out_function(const Graph& graph, ValueId value);

}  // namespace enn

// Attention as calls of ATen, for doors that write calls and not nodes.
#pragma once

#include <optional>
#include <vector>

#include "ops/import.hpp"

namespace enn {

// The tensor that the i-th step of a decomposition makes is TensorArgument{kMadeTensor + i}.
inline constexpr ValueId kMadeTensor = 0x80000000U;

// A call, whose name is one in the manner of FX ("mul_tensor") and not yet unique, or a constant.
struct DecompositionStep {
  Call call;          // without a target for a constant
  ConstantData data;  // of a constant
  [[nodiscard]] const TensorType& type() const { return call.results.front(); }
};

inline constexpr const char* kAttentionTarget = "aten.scaled_dot_product_attention.default";

// softmax(q k^T scale + mask) v, as torch documents it, so that each operator of it can be
// quantized; the last step makes the result. Dropout is a step of its own, in training mode.
// Nothing where sizes that only a run knows (kDynamicSize) would be written into the steps. `call`
// has the target kAttentionTarget; its tensors are values of `graph`.
[[nodiscard]] Result<std::optional<std::vector<DecompositionStep>>> decompose_attention(
    const Graph& graph, const Call& call);

}  // namespace enn

// Composite operators of ATen as calls of the operators that the engine has, so that each of them
// is quantized. Both doors write these calls in place of the composite.
#pragma once

#include <optional>
#include <string_view>
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

struct Decomposition {
  std::vector<DecompositionStep> steps;
  // The tensors that stand for the results of the call, in their order; each is made by a step of
  // its own.
  std::vector<ValueId> results;
};

inline constexpr std::string_view kAttentionTarget = "aten.scaled_dot_product_attention.default";

// Whether decompositions.def lists the overload.
[[nodiscard]] bool is_composite(std::string_view target);
// The overloads that it lists, in its order.
[[nodiscard]] std::vector<std::string_view> composites();

// The steps of a composite; its tensors are values of `graph`. Nothing where the steps cannot
// express the call: sizes that only a run knows (kDynamicSize) would be written into them, element
// types differ, there would be too many of them.
[[nodiscard]] Result<std::optional<Decomposition>> decompose(const Graph& graph, const Call& call);

}  // namespace enn

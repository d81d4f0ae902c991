// What masks the scores of an attention: -inf and numbers like -10^9, which no 8-bit scale holds
// beside the scores. Whatever holds them stays in float, up to the softmax that makes zeros of
// them.
#pragma once

#include "ir/graph.hpp"

namespace enn {

// Moved or not, read by nothing but masked scores: sums that only softmaxes read, viewed or not.
[[nodiscard]] bool is_score_mask(const Graph& graph, ValueId value);
// A masked score, or a value into which numbers from -1000 down came: by where or masked_fill, by a
// product with such a number, from a constant; moved, added to or converted since.
[[nodiscard]] bool holds_masks(const Graph& graph, ValueId value);
// Whether a node gives such values, or reads them and is no softmax: it runs in float.
[[nodiscard]] bool runs_on_masks(const Graph& graph, NodeId node);

}  // namespace enn

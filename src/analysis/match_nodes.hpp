#pragma once

#include <vector>

#include "ir/graph.hpp"

namespace enn {

// Of each node of the quantized graph the node of the float graph that it was, or kNone: the one of
// the same name in the same module of the eager model, else the n-th of its operator in its module,
// where both have as many.
[[nodiscard]] std::vector<NodeId> match_nodes(const Graph& floats, const Graph& quantized);

}  // namespace enn

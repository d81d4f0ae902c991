// Imports of products that other families share.
#pragma once

#include "ops/common.hpp"

namespace enn {

// beta * self + alpha * (a b), as nodes of their own; `a` and `b` name the call's arguments.
[[nodiscard]] Result<NodeId> import_product_and_sum(Graph& graph, const Call& call, const char* a,
                                                    const char* b);

}  // namespace enn

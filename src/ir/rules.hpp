// What the IR asks of the operators: implemented in ops/dispatch.cpp, declared here so that nothing
// in ir/ depends on ops/ beyond the table's names.
#pragma once

#include <vector>

#include "ir/graph.hpp"

namespace enn {

// Shape rule: the types of the results from operands and attributes, or why they do not fit
// together.
[[nodiscard]] Result<std::vector<TensorType>> infer(const Graph& graph, const Node& node);

}  // namespace enn

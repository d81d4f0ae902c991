// What the partitioner decided about each input, constant and node of a graph, and why.
#pragma once

#include <vector>

#include "ir/explanation.hpp"
#include "partitioner/partitioner.hpp"

namespace enn {

// One row for each graph input, each constant that is read, each node in the order of execution,
// and each result of a node that has several.
[[nodiscard]] std::vector<Explanation> explain(const Graph& graph,
                                               const Partitioning& partitioning);

}  // namespace enn

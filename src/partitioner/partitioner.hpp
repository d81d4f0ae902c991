// Which nodes of an edge graph the engine takes, grouped into the fewest partitions that leave no
// cycle between a partition and the rest.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

struct NodeDecision {
  int partition = -1;  // index of its partition, -1 when the node is left to others
  std::string reason;  // why it was left out; empty for a taken node and for a size
};

struct Partitioning {
  int count = 0;                    // number of partitions
  std::vector<NodeDecision> nodes;  // indexed by NodeId
};

// Precondition: verify(graph) is Ok.
[[nodiscard]] Partitioning partition(const Graph& graph);

}  // namespace enn

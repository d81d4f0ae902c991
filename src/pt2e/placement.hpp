// Where observers sit: what torchao's prepare_pt2e makes of annotations.
#pragma once

#include <cstddef>
#include <optional>
#include <variant>
#include <vector>

#include "quantizer/quantizer.hpp"

namespace enn {

inline constexpr std::size_t kNoSite = SIZE_MAX;

// One observer on the way from a value to those that read it; later a quantize and a dequantize.
struct Site {
  ValueId value = kNone;
  std::size_t group = 0;         // of the placement: the observer, which sites may share
  std::size_t parent = kNoSite;  // the site that it reads, or the value itself
  // Nodes that read the value through this site. A site of a result serves all others, and the
  // graph's outputs, too.
  std::vector<NodeId> readers;
  bool of_result = false;
};

using GroupSpec = std::variant<QuantizationSpec, FixedQParamsSpec>;

struct Placement {
  std::vector<GroupSpec> groups;
  std::vector<Site> sites;  // in the order in which torchao inserts them
};

// Edges with one spec share an observer when they belong to the same value, when a SharedSpec says
// so, and through any chain of these.
[[nodiscard]] Result<Placement> place_observers(const Graph& graph, const Annotations& annotations);

}  // namespace enn

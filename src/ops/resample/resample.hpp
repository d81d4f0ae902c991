#pragma once

#include "ir/graph.hpp"
#include "program_generated.h"

namespace enn {

// Of the attribute mode of a node of the families resample and grid_sample.
[[nodiscard]] program::ResampleKind resample_kind(const Node& node);

}  // namespace enn

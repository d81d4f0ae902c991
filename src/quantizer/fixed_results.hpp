#pragma once

#include "quantizer/quantizer.hpp"

namespace enn {

// A result with a scale that the operator fixes (a sigmoid's) is quantized once: what reads it,
// moved or not, reads it with that scale. Only where it is joined with values that have another one
// it is quantized again, to theirs.
void read_fixed_results_once(const Graph& graph, Annotations& annotations);

}  // namespace enn

#pragma once

#include "quantizer/quantizer.hpp"

namespace enn {

// One scale for the operands of a concatenation serves the 8-bit operators that read it. Where
// nothing reads it in 8 bits, its operands keep a scale each, and it joins them in float: the
// scores of a detector, of 0 to 1, would be lost in the scale of its boxes, of 0 to 640.
void join_in_float(const Graph& graph, Annotations& annotations);

}  // namespace enn

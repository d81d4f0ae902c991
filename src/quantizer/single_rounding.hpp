#pragma once

#include "quantizer/quantizer.hpp"

namespace enn {

// A chain or a small graph of elementwise operators that computes one value from another, and for
// the rest from numbers, is rounded at its end: what lies in between is not stored, so that it is
// not quantized either. The compiler makes one table of it (ops/lut).
void round_once(const Graph& graph, Annotations& annotations);

}  // namespace enn

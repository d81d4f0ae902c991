// Upstream's placement of quantization, its faults included, for those who compile with the
// vendor's SDK and must see the same numbers. docs/differences.md says where the default is better.
#pragma once

#include "quantizer/quantizer.hpp"

namespace enn {

// `calls`: the model as it was traced, one node and one value for each call, each imported with
// import_uninterpreted.
[[nodiscard]] Annotations annotate_as_upstream(const Graph& calls,
                                               const QuantizationConfig& config);

}  // namespace enn

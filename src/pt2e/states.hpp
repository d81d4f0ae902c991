// Buffers that a model changes, and what is quantized around them.
#pragma once

#include <vector>

#include "enn/exported_program.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// The nodes on the way from the old values of buffers to new ones. A rounding there is made again
// with every call: a sum that grows by less than half a step would never grow. A layer with weights
// or a product of matrices ends the way: what it takes and gives has ranges that do not add up.
// `graph` has the inputs and outputs that `mutations` are of.
[[nodiscard]] std::vector<NodeId> updates_of_buffers(const Graph& graph,
                                                     const std::vector<Mutation>& mutations);

// The quantizer's annotations with updates_of_buffers in float, and with each buffer that they read
// quantized only where other nodes read it in 8 bits.
[[nodiscard]] Annotations annotate_beside_updates(const EnnQuantizer& quantizer, const Graph& graph,
                                                  const std::vector<Mutation>& mutations);

}  // namespace enn

// Values that are written over and over, so that the roundings to 8 bits would add up: the residual
// streams of transformers and the states of recurrent cells.
#pragma once

#include <vector>

#include "ir/graph.hpp"

namespace enn {

// By value: sums of two computed values that a norm over their channels reads, written as one
// operator or as its arithmetic, and what is added. A few channels of a stream are a hundred times
// larger than the others, which the norm's weights make up for, and 8 bits do not.
[[nodiscard]] std::vector<bool> residual_streams(const Graph& graph);

// By value: the states of LSTM and GRU cells, f c + i g and (1 - z) n + z h, and the elementwise
// operators between the layers and the states.
[[nodiscard]] std::vector<bool> recurrent_states(const Graph& graph);

}  // namespace enn

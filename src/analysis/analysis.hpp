#pragma once

#include <vector>

#include "enn/analyze.hpp"
#include "ir/graph.hpp"

namespace enn {

// Analysis::create for graphs: the float one has its batch norms folded where the quantized one has
// them folded. `inputs`, `outputs` and `mutations` are those of the float graph.
[[nodiscard]] Result<Analysis> analyze_graphs(const Graph& floats, const Graph& quantized,
                                              std::vector<NamedType> inputs,
                                              std::vector<NamedType> outputs,
                                              const std::vector<Mutation>& mutations,
                                              const AnalysisOptions& options);

// The float graph with its batch norms folded as the quantizer folds them, unless the quantized
// graph has batch norms.
[[nodiscard]] Result<Graph> fold_as_in(const Graph& quantized, Graph floats);

}  // namespace enn

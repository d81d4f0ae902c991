#pragma once

#include <vector>

#include "enn/analyze.hpp"
#include "ir/graph.hpp"

namespace enn {

// Analysis::create for graphs. The float one's batch norms are folded as the quantizer folds them,
// unless the quantized one has batch norms. `inputs`, `outputs` and `mutations` are those of the
// float graph.
[[nodiscard]] Result<Analysis> analyze_graphs(Graph floats, const Graph& quantized,
                                              std::vector<NamedType> inputs,
                                              std::vector<NamedType> outputs,
                                              const std::vector<Mutation>& mutations,
                                              const AnalysisOptions& options);

}  // namespace enn

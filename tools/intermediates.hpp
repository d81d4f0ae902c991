// The values inside a model, by the names that its export gave them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common.hpp"

namespace enn::tool {

using NamedTensors = std::map<std::string, Tensor>;

// Runs the model once and keeps what its nodes give, in float32. Of a quantized model these are the
// values that are quantized, as they are after it, under the name of the value before, and the
// outputs; of a float one all float values.
[[nodiscard]] Result<NamedTensors> run_with_intermediates(const ExportedProgram& program,
                                                          Execution execution,
                                                          const RunOptions& options,
                                                          std::span<const Tensor> inputs);

}  // namespace enn::tool

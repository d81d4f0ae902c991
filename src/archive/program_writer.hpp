// Archives that torch.export.load reads, from the archive that a program came from and what was
// changed in its graph.
#pragma once

#include <cstddef>
#include <vector>

#include "archive/exported_program.hpp"

namespace enn {

// Each call of the original keeps its JSON, with other operands where the graph has others; new
// quantize and dequantize nodes become calls of torch.ops.quantized_decomposed; constants that
// nothing reads any more are left out. Unsupported when the graph holds what ATen calls cannot say.
[[nodiscard]] Result<std::vector<std::byte>> write_program(const ExportedProgram::State& state);

}  // namespace enn

// Archives of torch.export.save (torch 2.9 and later: the "pt2" format, schema 8), without Python
// and without pickle.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "enn/result.hpp"
#include "ir/graph.hpp"

namespace enn {

// The graph of the archive's one model, verified: the same that the Python door imports from the
// ExportedProgram which torch.export.load gives. Inputs and outputs are flat, in the order of the
// program's pytrees; parameters, buffers that the model does not change, and constants are
// constants. Symbolic dimensions are refused.
[[nodiscard]] Result<Graph> read_exported_program(std::span<const std::byte> archive);
[[nodiscard]] Result<Graph> read_exported_program(const std::filesystem::path& path);

}  // namespace enn

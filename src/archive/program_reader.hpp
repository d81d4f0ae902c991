// Archives of torch.export.save (torch 2.9 and later: the "pt2" format, schema 8), without Python
// and without pickle.
#pragma once

#include <memory>

#include "archive/exported_program.hpp"

namespace enn {

// The program of the archive's one model, its graph verified: the same that the Python door imports
// from the ExportedProgram which torch.export.load gives. Inputs and outputs are flat, in the order
// of the program's pytrees; parameters, buffers that the model does not change, and constants are
// constants.
[[nodiscard]] Result<std::shared_ptr<const ExportedProgram::State>> read_program(
    std::shared_ptr<const ArchiveBytes> archive, const ExportOptions& options);

// The same program read again, with its composites decomposed. `program` holds what its archive
// says; its constants are shared.
[[nodiscard]] Result<std::shared_ptr<const ExportedProgram::State>> read_decomposed(
    const ExportedProgram::State& program);

}  // namespace enn

#include "archive/exported_program.hpp"

#include <utility>

#include "archive/program_reader.hpp"

namespace enn {

Result<ExportedProgram> ExportedProgram::load(const std::filesystem::path& path,
                                              const ExportOptions& options) {
  ENN_ASSIGN(MappedFile file, MappedFile::open(path));
  auto state = read_program(std::make_shared<const ArchiveBytes>(std::move(file)), options);
  if (!state.ok()) return error(state.status().code(), path, ": ", state.status().message());
  return ExportedProgram(std::move(state).value());
}

Result<ExportedProgram> ExportedProgram::parse(std::span<const std::byte> archive,
                                               const ExportOptions& options) {
  ENN_ASSIGN(auto state, read_program(std::make_shared<const ArchiveBytes>(
                                          std::vector<std::byte>(archive.begin(), archive.end())),
                                      options));
  return ExportedProgram(std::move(state));
}

Status ExportedProgram::save(const std::filesystem::path& path) const {
  ENN_ASSIGN(const std::vector<std::byte> archive, serialize());
  return write_file_atomically(path, archive);
}

Result<std::vector<std::byte>> ExportedProgram::serialize() const {
  const std::span<const std::byte> bytes = state_->archive->bytes();
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

const std::vector<NamedType>& ExportedProgram::inputs() const { return state_->inputs; }
const std::vector<NamedType>& ExportedProgram::outputs() const { return state_->outputs; }
const Graph& ExportedProgram::graph() const { return state_->graph; }

}  // namespace enn

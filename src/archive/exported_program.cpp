#include "archive/exported_program.hpp"

#include <utility>

#include "archive/program_reader.hpp"
#include "archive/program_writer.hpp"
#include "base/guard.hpp"

namespace enn {

Result<ExportedProgram> ExportedProgram::load(const std::filesystem::path& path,
                                              const ExportOptions& options) {
  return guarded("read the archive", [&]() -> Result<ExportedProgram> {
    ENN_ASSIGN(MappedFile file, MappedFile::open(path));
    auto state = read_program(std::make_shared<const ArchiveBytes>(std::move(file)), options);
    if (!state.ok()) return error(state.status().code(), path, ": ", state.status().message());
    return ExportedProgram(std::move(state).value());
  });
}

Result<ExportedProgram> ExportedProgram::parse(std::span<const std::byte> archive,
                                               const ExportOptions& options) {
  return guarded("read the archive", [&]() -> Result<ExportedProgram> {
    ENN_ASSIGN(auto state, read_program(std::make_shared<const ArchiveBytes>(
                                            std::vector<std::byte>(archive.begin(), archive.end())),
                                        options));
    return ExportedProgram(std::move(state));
  });
}

Status ExportedProgram::save(const std::filesystem::path& path) const {
  return guarded("write the archive", [&]() -> Status {
    ENN_ASSIGN(const std::vector<std::byte> archive, serialize());
    return write_file_atomically(path, archive);
  });
}

Result<std::vector<std::byte>> ExportedProgram::serialize() const {
  return guarded("write the archive", [&]() -> Result<std::vector<std::byte>> {
    if (state_->original != nullptr || !state_->made.empty()) return write_program(*state_);
    const std::span<const std::byte> bytes = state_->archive->bytes();
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
}

Result<ExportedProgram> transform_for_annotation(const ExportedProgram& program) {
  if (!program.state().has_composites) return program;
  if (program.state().original != nullptr) {
    ENN_ASSIGN(const std::vector<std::byte> archive, program.serialize());
    ENN_ASSIGN(const ExportedProgram written,
               ExportedProgram::parse(archive, program.state().options));
    return transform_for_annotation(written);
  }
  ENN_ASSIGN(auto state, read_decomposed(program.state()));
  return ExportedProgram(std::move(state));
}

ExportedProgram with_graph(const ExportedProgram& original, Graph graph) {
  const ExportedProgram::State& from = original.state();
  auto state = std::make_shared<ExportedProgram::State>();
  state->archive = from.archive;
  state->options = from.options;
  state->graph = std::move(graph);
  state->document = from.document;
  state->mutations = from.mutations;
  state->inputs = from.inputs;
  state->outputs = from.outputs;
  state->input_tree = from.input_tree;
  state->output_tree = from.output_tree;
  state->values = from.values;
  state->qualified_names = from.qualified_names;
  state->calls = from.calls;
  state->made = from.made;
  state->has_composites = from.has_composites;
  // Of a program that was changed before: the one that was read.
  state->original = from.original != nullptr ? from.original : from.shared_from_this();
  return ExportedProgram(std::move(state));
}

const std::vector<NamedType>& ExportedProgram::inputs() const { return state_->inputs; }
const std::vector<NamedType>& ExportedProgram::outputs() const { return state_->outputs; }
const std::optional<Pytree>& ExportedProgram::input_tree() const { return state_->input_tree; }
const std::optional<Pytree>& ExportedProgram::output_tree() const { return state_->output_tree; }
const std::vector<Mutation>& ExportedProgram::mutations() const { return state_->mutations; }
const Graph& ExportedProgram::graph() const { return state_->graph; }

}  // namespace enn

// What an enn::ExportedProgram holds.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "archive/arguments.hpp"
#include "base/file_io.hpp"
#include "enn/exported_program.hpp"
#include "ir/graph.hpp"

namespace enn {

// The bytes of an archive: a mapped file or a copy in memory.
class ArchiveBytes {
 public:
  explicit ArchiveBytes(MappedFile file) : file_(std::move(file)) {}
  explicit ArchiveBytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return file_ ? file_->bytes() : std::span<const std::byte>(bytes_);
  }

 private:
  std::optional<MappedFile> file_;
  std::vector<std::byte> bytes_;
};

// The nodes of the graph that stand for one call of the archive: [first, last). The call's own
// comes last; those before it were added by its import. None for a call without tensor results.
struct CallNodes {
  NodeId first = 0;
  NodeId last = 0;
};

struct ExportedProgram::State {
  std::shared_ptr<const ArchiveBytes> archive;
  ExportOptions options;
  Graph graph;
  // One per input and output of `graph`. A buffer that the model changes is an input and an output.
  std::vector<NamedType> inputs;
  std::vector<NamedType> outputs;
  NamedValues values;            // of the archive's names
  std::vector<CallNodes> calls;  // of the archive's nodes, in their order
};

}  // namespace enn

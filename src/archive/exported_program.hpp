// What an enn::ExportedProgram holds.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
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

// A call that a transformation made in place of a call of the archive, or a constant of it.
struct MadeCall {
  std::string name;  // of its value in the archive that is written
  Call call;         // without a target for a constant; its tensors are values of the graph
  CallNodes nodes;
  ValueId value = kNone;
};

struct ExportedProgram::State : std::enable_shared_from_this<ExportedProgram::State> {
  std::shared_ptr<const ArchiveBytes> archive;
  ExportOptions options;
  Graph graph;
  // The document that `graph` was read from; null: the archive's own. It says the same in functions
  // (archive/functionalize.hpp).
  std::shared_ptr<const std::string> document;
  // The caller's: the inputs and outputs of `graph` without those of `mutations`' buffers and new
  // values.
  std::vector<NamedType> inputs;
  std::vector<NamedType> outputs;
  std::vector<Mutation> mutations;
  std::optional<Pytree> input_tree;
  std::optional<Pytree> output_tree;
  NamedValues values;  // of the archive's names
  // Of parameters, buffers and constants, by the archive's names: "conv.weight" of "p_conv_weight".
  std::unordered_map<std::string, std::string> qualified_names;
  std::vector<CallNodes> calls;  // of the archive's nodes, in their order
  // By the index of the archive's node that they replace; nodes of `graph` in that order.
  std::map<std::size_t, std::vector<MadeCall>> made;
  bool has_composites = false;
  // The program whose graph was changed to `graph`; all but the graph is as there.
  std::shared_ptr<const State> original;
};

// The program with each composite (ops/decompositions) as the calls that it is made of, so that the
// quantizer sees them; the program itself when it has none.
[[nodiscard]] Result<ExportedProgram> transform_for_annotation(const ExportedProgram& program);

// `original` with `graph` for its graph, a changed copy: quantize and dequantize nodes and
// constants were added, operands, outputs and constants exchanged, nodes erased. Node and value ids
// of the original mean what they meant. What an archive cannot say of it is an error of
// serialize().
[[nodiscard]] ExportedProgram with_graph(const ExportedProgram& original, Graph graph);

}  // namespace enn

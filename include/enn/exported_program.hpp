// Programs of torch.export: what torch.export.save writes and torch.export.load reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

class Graph;

// An input or output.
struct NamedType {
  std::string name;  // in the program's graph
  TensorType type;   // as the caller gives or gets it
};

// What stands in a program's pytrees beside tensors; std::monostate is None.
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

// How the caller gives inputs or gets outputs.
struct Pytree {
  // In the tree's order; nullopt is a tensor, the next of the program's inputs or outputs.
  std::vector<std::optional<Scalar>> leaves;
  std::string spec;  // the tree as torch.utils._pytree writes it, in JSON
};

// What a call of a program changes beside what it returns: a buffer, whose new value the next call
// finds, or an input that the program writes into.
struct Mutation {
  std::string name;        // of the buffer in the module ("cache"), or of the input
  std::size_t before = 0;  // which of the graph's inputs is the old value
  std::size_t after = 0;   // which of the graph's outputs is the new one
  // The bytes of a buffer before the first call; null for an input.
  std::shared_ptr<const std::vector<std::byte>> initial;
};

// How a program is read.
struct ExportOptions {
  // The size that every symbolic dimension (torch.export's dynamic_shapes) gets: the engine runs
  // static shapes. 0: the smallest size that the program's range constraints allow, at least 1.
  std::int64_t dynamic_size = 0;
};

// One exported model: its ATen calls, parameters, buffers and constants. Immutable; copies share.
class ExportedProgram {
 public:
  // Reads a ".pt2" archive (torch 2.9 and later, schema 8), memory-mapped and without pickle. The
  // error names the file and what is wrong in it. Trusts no byte of the file.
  [[nodiscard]] static Result<ExportedProgram> load(const std::filesystem::path& path,
                                                    const ExportOptions& options = {});
  // The same from memory, which is copied where it is kept.
  [[nodiscard]] static Result<ExportedProgram> parse(std::span<const std::byte> archive,
                                                     const ExportOptions& options = {});

  // Writes an archive that torch.export.load accepts; a program that was only loaded gives the
  // bytes that it was loaded from. Unsupported when a graph was changed in a way that ATen calls
  // cannot say. The file is replaced as a whole or not at all.
  [[nodiscard]] Status save(const std::filesystem::path& path) const;
  [[nodiscard]] Result<std::vector<std::byte>> serialize() const;

  // Tensors that the caller gives and gets, flat, in the order of the program's pytrees; what is no
  // tensor there (None, a number) is left out.
  [[nodiscard]] const std::vector<NamedType>& inputs() const;
  [[nodiscard]] const std::vector<NamedType>& outputs() const;

  // The same as pytrees; nullopt when a leaf is of another kind than Scalar.
  [[nodiscard]] const std::optional<Pytree>& input_tree() const;
  [[nodiscard]] const std::optional<Pytree>& output_tree() const;

  // What a call changes beside its outputs. A write in place is among them as soon as the program
  // is read: torch.export keeps it in its graph as a call.
  [[nodiscard]] const std::vector<Mutation>& mutations() const;

  // The core's form of the program; constants are values of the graph. Its inputs are the buffers
  // that the program changes and inputs(), its outputs the new values of mutations() and outputs().
  [[nodiscard]] const Graph& graph() const;

  // Of src/archive.
  struct State;
  explicit ExportedProgram(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  [[nodiscard]] const State& state() const { return *state_; }

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace enn

// Programs with sizes that only a run knows (torch.export's dynamic_shapes).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "enn/program.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// A program that is compiled anew for each set of sizes that it meets. Not to be used at the same
// time on two threads.
class SymbolicProgram {
 public:
  virtual ~SymbolicProgram() = default;

  // Whether a payload holds such a program; Program::load takes the others.
  [[nodiscard]] static bool holds(std::span<const std::byte> payload) noexcept;

  // Verifies `payload` (schema/README.md) and copies what it needs. Trusts nothing in it. `options`
  // are those with which the programs for single sizes are loaded.
  [[nodiscard]] static Result<std::unique_ptr<SymbolicProgram>> load(
      std::span<const std::byte> payload, const LoadOptions& options = {});

  // What the caller passes, in order: a tensor, or an integer (true).
  [[nodiscard]] virtual const std::vector<bool>& integer_inputs() const noexcept = 0;
  [[nodiscard]] virtual std::size_t output_count() const noexcept = 0;

  // The program for inputs of these sizes, one Shape per input; that of an integer holds the
  // integer alone. It takes the tensors, without the integers. Compiled at the first call, which
  // takes as long as lowering does, and kept: the programs of the last four sets of sizes are. It
  // stays valid until the next call.
  //
  // InvalidArgument when the model was not exported for these sizes, Unsupported when the engine
  // does not take an operator with them; the message names what.
  [[nodiscard]] virtual Result<Program*> specialize(std::span<const Shape> sizes) = 0;
};

}  // namespace enn

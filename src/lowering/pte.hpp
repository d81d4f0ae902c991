// The ".pte" file of a method that is one call of the delegate; the format is in schema/pte.fbs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "enn/executorch.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// A tensor in planned memory, or a number, text or None.
using MethodValue = std::variant<TensorType, Scalar>;

// A method "forward".
struct DelegatedMethod {
  std::vector<MethodValue> values;  // the inputs come first
  std::size_t inputs = 0;
  std::vector<std::uint32_t> arguments;  // values that the delegate reads, then those it writes
  std::vector<std::uint32_t> outputs;    // values
  // Of the caller's, as torch.utils._pytree writes them; empty for a tuple of leaves.
  std::string input_tree;
  std::string output_tree;
  std::vector<CompileSpec> compile_specs;
  std::vector<std::byte> payload;
};

inline constexpr std::string_view kDelegateName = "EnnBackend";

// Unsupported when the format has no room for a size, or a text is returned.
[[nodiscard]] Result<std::vector<std::byte>> write_pte(const DelegatedMethod& method);

}  // namespace enn

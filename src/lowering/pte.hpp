// The ".pte" file of a method that is one call of the delegate; the format is in schema/pte.fbs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

// A tensor that keeps its value from call to call.
struct KeptTensor {
  std::uint32_t value = 0;                                // which of the method's values
  std::shared_ptr<const std::vector<std::byte>> initial;  // its bytes before the first call
};

// After the delegate has run, the tensor `to` gets the elements of `from`.
struct TensorCopy {
  std::uint32_t to = 0;
  std::uint32_t from = 0;
};

// A method "forward".
struct DelegatedMethod {
  std::vector<MethodValue> values;  // the inputs come first
  std::size_t inputs = 0;
  std::vector<std::uint32_t> arguments;  // values that the delegate reads, then those it writes
  std::vector<std::uint32_t> outputs;    // values
  std::vector<KeptTensor> kept;
  std::vector<TensorCopy> copies;  // in order
  // Of the caller's, as torch.utils._pytree writes them; empty for a tuple of leaves.
  std::string input_tree;
  std::string output_tree;
  std::vector<CompileSpec> compile_specs;
  std::vector<std::byte> payload;
};

inline constexpr std::string_view kDelegateName = "EnnBackend";
// ExecuTorch's kernel that copies a tensor's elements into another.
inline constexpr std::string_view kCopyKernel = "aten::copy_";

// Unsupported when the format has no room for a size, or a text is returned.
[[nodiscard]] Result<std::vector<std::byte>> write_pte(const DelegatedMethod& method);

}  // namespace enn

// What a ".pte" file says: its methods and their delegates.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "enn/executorch.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

struct PteDelegate {
  std::string id;  // the name that the backend is registered by
  std::vector<CompileSpec> compile_specs;
  std::span<const std::byte> payload;  // within the file's bytes
};

struct PteMethod {
  std::string name;
  // Types of tensors; nullopt for a number, a string or a list, or for an element type that this
  // engine does not know.
  std::vector<std::optional<TensorType>> inputs;
  std::vector<std::optional<TensorType>> outputs;
  std::vector<PteDelegate> delegates;
  std::vector<std::string> operators;  // that ExecuTorch's own kernels run, "aten::add.out"
  std::int64_t planned_bytes = 0;      // of the memory that the file plans
};

// Trusts no byte: what does not hold together is an InvalidArgument. The payloads themselves are
// not looked into.
[[nodiscard]] Result<std::vector<PteMethod>> read_pte(std::span<const std::byte> file);

}  // namespace enn

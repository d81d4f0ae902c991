// The ".pte" file of a method that is one call of the delegate; the format is in schema/pte.fbs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enn/executorch.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// A method "forward". Its values are the inputs and then what the delegate computes.
struct DelegatedMethod {
  std::vector<TensorType> inputs;
  std::vector<TensorType> results;
  std::vector<std::uint32_t> arguments;  // of the delegate's call: indices of inputs
  std::vector<std::uint32_t> outputs;    // of the method: indices of values
  std::span<const CompileSpec> compile_specs;
  std::span<const std::byte> payload;
};

inline constexpr std::string_view kDelegateName = "EnnBackend";

// Unsupported when the format has no room for a size.
[[nodiscard]] Result<std::vector<std::byte>> write_pte(const DelegatedMethod& method);

}  // namespace enn

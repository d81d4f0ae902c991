// What a caller hands to the delegate, against what the program was compiled for.
#pragma once

#include <executorch/runtime/core/evalue.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// The tensor in `value`, when it has exactly this type and lies dense in row-major order; otherwise
// a sentence that names it (`role`: "input" or "output") and says what to do. Allocates only on
// failure.
[[nodiscard]] Result<std::span<std::byte>> check_tensor(std::string_view role, std::size_t index,
                                                        const executorch::runtime::EValue* value,
                                                        const TensorType& expected);

// Outputs must share no byte with an input or with each other.
[[nodiscard]] Status check_no_overlap(std::span<const std::byte* const> inputs,
                                      std::span<const TensorType> input_types,
                                      std::span<std::byte* const> outputs,
                                      std::span<const TensorType> output_types);

}  // namespace enn

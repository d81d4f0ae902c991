// What a caller hands to the delegate, against what the program was compiled for.
#pragma once

#include <executorch/runtime/core/evalue.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "enn/program.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// The tensor in `value`, when its elements lie dense in memory, of this type and with their
// dimensions in this order (Program::input_orders()); otherwise a sentence that names it (`role`:
// "input" or "output") and says what to do. Allocates only on failure.
[[nodiscard]] Result<std::span<std::byte>> check_tensor(std::string_view role, std::size_t index,
                                                        const executorch::runtime::EValue* value,
                                                        const TensorType& expected,
                                                        const DimOrder& order);

// The type of the caller's tensor: its dimensions in their own order.
[[nodiscard]] TensorType in_own_order(TensorType type, const DimOrder& order);

// Outputs must share no byte with an input or with each other.
[[nodiscard]] Status check_no_overlap(std::span<const std::byte* const> inputs,
                                      std::span<const TensorType> input_types,
                                      std::span<std::byte* const> outputs,
                                      std::span<const TensorType> output_types);

}  // namespace enn

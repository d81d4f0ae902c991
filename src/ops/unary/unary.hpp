// What other operators know of functions of one operand.
#pragma once

#include <optional>

#include "ir/graph.hpp"
#include "program_generated.h"

namespace enn {

// How a program names the function, or nothing when `op` is none.
[[nodiscard]] std::optional<program::UnaryKind> unary_kind(Op op);

}  // namespace enn

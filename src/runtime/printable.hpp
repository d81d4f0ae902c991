// Text of a program that nobody vouches for.
#pragma once

#include <string>

#include "program_generated.h"

namespace enn {

// printable_text (base/printable.hpp) of `text`; empty for null.
[[nodiscard]] std::string printable(const flatbuffers::String* text);

}  // namespace enn

// Text from a file that nobody vouches for.
#pragma once

#include <string>

#include "program_generated.h"

namespace enn {

// At most 128 characters of `text`, anything but printable ASCII replaced by '?': fit for messages,
// logs and terminals. Empty for null.
[[nodiscard]] std::string printable(const flatbuffers::String* text);

}  // namespace enn

// Programs that write into tensors, as programs of functions: what run_decompositions() makes of
// the writes, without decomposing anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "enn/result.hpp"

namespace enn {

// The document of an archive (models/<name>.json), with each write into a tensor as a function
// whose result is read wherever the tensor or a view of it was read afterwards. What the program
// leaves in a buffer or in an input becomes an output, a "buffer_mutation" or "user_input_mutation"
// of the signature. nullopt when no reader sees a write by another name than that of its result:
// each call is as good as a function then. Unsupported, with the name of the call, when the writes
// cannot be followed. Trusts nothing in the document.
[[nodiscard]] Result<std::optional<std::string>> functionalize(std::string_view document);

}  // namespace enn

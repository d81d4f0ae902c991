// Text from a file that nobody vouches for.
#pragma once

#include <string>
#include <string_view>

namespace enn {

// At most 128 characters of `text`, anything but printable ASCII replaced by '?': fit for messages,
// logs and terminals.
[[nodiscard]] std::string printable_text(std::string_view text);

}  // namespace enn

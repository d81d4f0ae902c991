#pragma once

#include <string>
#include <string_view>

namespace enn {

// The file:line of the innermost frame of a Python stack trace that is not torch's own; of the
// innermost one if all are. Printable ASCII; of a long path only the end.
[[nodiscard]] std::string source_line(std::string_view trace);

}  // namespace enn

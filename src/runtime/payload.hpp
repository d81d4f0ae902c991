// The 64-byte header in front of the FlatBuffer (schema/README.md).
#pragma once

#include <cstddef>
#include <span>

#include "enn/result.hpp"

namespace enn {

// The FlatBuffer of a payload whose header and checksums are right. Every single flipped bit is
// refused.
[[nodiscard]] Result<std::span<const std::byte>> open_payload(std::span<const std::byte> payload);

}  // namespace enn

// One decoder a file; each checks what the header claims against the limits and against the number
// of bytes there are before it allocates.
#pragma once

#include "data/image.hpp"

namespace enn {

[[nodiscard]] Result<Image> decode_jpeg(std::span<const std::byte> bytes, const DataLimits& limits);
[[nodiscard]] Result<Image> decode_png(std::span<const std::byte> bytes, const DataLimits& limits);

}  // namespace enn

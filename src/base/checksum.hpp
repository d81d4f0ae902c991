#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace enn {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4): every error burst of up to 32 bits is found.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace enn

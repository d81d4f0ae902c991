// The ways to compute CRC-32C, for checksum.cpp and its test. All take and return the raw register:
// the caller inverts it before and after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace enn::checksum {

// Eight bytes a step from eight 256-entry tables.
[[nodiscard]] std::uint32_t crc32c_table(std::uint32_t crc,
                                         std::span<const std::byte> bytes) noexcept;

// The crc32 instruction. Precondition: has_crc32c_sse42().
[[nodiscard]] bool has_crc32c_sse42() noexcept;
[[nodiscard]] std::uint32_t crc32c_sse42(std::uint32_t crc,
                                         std::span<const std::byte> bytes) noexcept;

}  // namespace enn::checksum

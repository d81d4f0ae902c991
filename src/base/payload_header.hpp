// The 64-byte header in front of a payload's FlatBuffer (schema/README.md), as it is written.
// runtime/payload.hpp reads it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace enn {

inline constexpr std::size_t kPayloadHeaderBytes = 64;
inline constexpr std::array<char, 4> kPayloadMagic{'E', 'N', 'N', '1'};
inline constexpr std::uint32_t kPayloadHeaderVersion = 1;

// Into the first 64 bytes of `payload`, which are zero, for the FlatBuffer that lies behind them.
void write_payload_header(std::span<std::byte> payload);

}  // namespace enn

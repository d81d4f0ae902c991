// The 64-byte header in front of a payload's FlatBuffer (schema/README.md), as it is written.
// runtime/payload.hpp reads it.
#pragma once

#include <cstddef>
#include <span>

namespace enn {

inline constexpr std::size_t kPayloadHeaderBytes = 64;

// Into the first 64 bytes of `payload`, which are zero, for the FlatBuffer that lies behind them.
void write_payload_header(std::span<std::byte> payload);

}  // namespace enn

// Decompression of a stranger's bytes, by zlib.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// Deflate turns one byte into at most so many.
inline constexpr std::uint64_t kLargestInflation = 1032;

// The contents of a raw deflate stream (a zip entry's) that gives exactly `size` bytes.
[[nodiscard]] Result<std::vector<std::byte>> inflate_raw(std::span<const std::byte> bytes,
                                                         std::uint64_t size);
// The contents of a gzip file with one member, at most `limit` bytes.
[[nodiscard]] Result<std::vector<std::byte>> inflate_gzip(std::span<const std::byte> bytes,
                                                          std::uint64_t limit);

}  // namespace enn

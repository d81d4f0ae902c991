// Whole files, in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.hpp"

namespace enn {

[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::filesystem::path& path);

// Readers see the old file or the whole new one, also after a crash: the bytes go to a temporary
// file in the same folder, reach the disk, and only then take the name. On failure nothing is left
// behind.
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path,
                                           std::span<const std::byte> bytes);

}  // namespace enn

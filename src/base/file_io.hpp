// Whole files, in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// A file's bytes without a copy. Whoever shortens the file meanwhile ends the process.
class MappedFile {
 public:
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  // Gives back the memory of the first `size` bytes; reading them again reads the file.
  void release_first(std::size_t size) const noexcept;

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::filesystem::path& path);

// Readers see the old file or the whole new one, also after a crash: the bytes go to a temporary
// file in the same folder, reach the disk, and only then take the name. On failure nothing is left
// behind.
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path,
                                           std::span<const std::byte> bytes);

}  // namespace enn

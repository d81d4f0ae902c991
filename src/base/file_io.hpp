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
// behind. A symbolic link stays, and the file that it names is replaced; the new file has the
// permissions of the old one. A device, a pipe, and whatever standard output is open on, are
// written to and not replaced.
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path,
                                           std::span<const std::byte> bytes);

// Why write_file_atomically would fail, as far as that is known before there is anything to write.
// Changes nothing.
[[nodiscard]] Status check_writable(const std::filesystem::path& path);

[[nodiscard]] Status write_standard_output(std::span<const std::byte> bytes);

// Whether both exist and are one file, whatever links lead to it.
[[nodiscard]] bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b);
// Whether the path is what standard output is open on ("/dev/stdout").
[[nodiscard]] bool is_standard_output(const std::filesystem::path& path);

}  // namespace enn

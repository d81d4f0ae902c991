// The zip files that torch writes: stored entries, zip64 where needed. Trusts no byte of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.hpp"
#include "enn/result.hpp"

namespace enn {

// CRC-32 as zip, gzip and PNG use it (reversed polynomial 0xEDB88320).
[[nodiscard]] std::uint32_t zip_crc32(std::span<const std::byte> bytes);

// A view of an archive: the bytes must outlive it and what read() gives.
class ZipArchive {
 public:
  [[nodiscard]] static Result<ZipArchive> open(std::span<const std::byte> bytes);

  // Names are keys and nothing else; they never become paths of files.
  [[nodiscard]] bool has(std::string_view name) const { return entries_.contains(name); }
  // The names that begin with `prefix` and end with `suffix`, in alphabetical order.
  [[nodiscard]] std::vector<std::string> names(std::string_view prefix,
                                               std::string_view suffix) const;
  // All names in the order in which their contents lie in the file.
  [[nodiscard]] std::vector<std::string> names_by_place() const;
  // An entry as it lies in the archive, with nothing but its place checked.
  struct Stored {
    std::span<const std::byte> bytes;
    std::uint64_t size = 0;  // unpacked
    std::uint32_t crc = 0;   // of the unpacked contents
    std::uint16_t method = 0;
  };
  [[nodiscard]] Result<Stored> find(std::string_view name) const;
  // The contents of a stored entry, a part of the archive's bytes, with the checksum compared.
  [[nodiscard]] Result<std::span<const std::byte>> read(std::string_view name) const;

 private:
  struct Entry {
    std::uint64_t offset = 0;  // of the local header
    std::uint64_t size = 0;
    std::uint64_t stored_size = 0;
    std::uint32_t crc = 0;
    std::uint16_t method = 0;
    std::uint16_t flags = 0;
  };

  [[nodiscard]] Status read_directory(std::uint64_t offset, std::uint64_t size,
                                      std::uint64_t count);

  std::span<const std::byte> bytes_;
  std::map<std::string, Entry, std::less<>> entries_;
};

// Writes stored entries; the contents of each begin at a multiple of 64 bytes, as torch's do.
class ZipWriter {
 public:
  void add(std::string_view name, std::span<const std::byte> contents);
  // ResourceExhausted when the file would need zip64.
  [[nodiscard]] Result<std::vector<std::byte>> finish() &&;

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::byte> directory_;
  std::uint64_t count_ = 0;
  bool too_large_ = false;
};

}  // namespace enn

#include "archive/zip.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace enn {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034B50U;
constexpr std::uint32_t kDirectoryHeader = 0x02014B50U;
constexpr std::uint32_t kEndOfDirectory = 0x06054B50U;
constexpr std::uint32_t kEndOfDirectory64 = 0x06064B50U;
constexpr std::uint32_t kLocator64 = 0x07064B50U;
constexpr std::size_t kLocalHeaderSize = 30;
constexpr std::size_t kDirectoryHeaderSize = 46;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kLocator64Size = 20;
constexpr std::size_t kLongestComment = 65535;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kEncrypted = 1;
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kPaddingHeaderSize = 4;
constexpr std::uint16_t kPaddingExtra = 0x4246;  // "FB"
constexpr std::uint16_t kVersionNeeded = 20;
constexpr std::uint16_t kNamesAreUtf8 = 0x0800;
constexpr std::uint16_t kFirstDate = 0x0021;  // 1980-01-01
constexpr std::uint32_t kFull32 = 0xFFFFFFFFU;
constexpr std::uint16_t kFull16 = 0xFFFFU;

constexpr auto kCrcTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint32_t previous = tables[k - 1][b];
      tables[k][b] = (previous >> 8U) ^ tables[0][previous & 0xFFU];
    }
  }
  return tables;
}();

Status malformed(std::string_view what) {
  return error(Code::InvalidArgument, "the archive is damaged: ", what);
}

// Little-endian integers of a range that was checked to hold them.
std::uint64_t load(std::span<const std::byte> bytes, std::size_t at, unsigned width) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < width; ++i) {
    value |= static_cast<std::uint64_t>(bytes[at + i]) << (8U * i);
  }
  return value;
}

std::uint32_t load32(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(load(bytes, at, 4));
}

std::uint16_t load16(std::span<const std::byte> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(load(bytes, at, 2));
}

void store(std::vector<std::byte>& out, std::uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) {
    out.push_back(static_cast<std::byte>(value >> (8U * i)));
  }
}

// `size` bytes from `offset`, or nothing when they do not all exist.
std::optional<std::span<const std::byte>> part(std::span<const std::byte> bytes,
                                               std::uint64_t offset, std::uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

}  // namespace

std::uint32_t zip_crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~0U;
  while (bytes.size() >= 8) {
    const std::uint32_t low = crc ^ load32(bytes, 0);
    const std::uint32_t high = load32(bytes, 4);
    crc = 0;
    for (unsigned i = 0; i < 4; ++i) {
      crc ^= kCrcTables[7 - i][(low >> (8U * i)) & 0xFFU];
      crc ^= kCrcTables[3 - i][(high >> (8U * i)) & 0xFFU];
    }
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) {
    crc = (crc >> 8U) ^ kCrcTables[0][(crc ^ static_cast<std::uint32_t>(byte)) & 0xFFU];
  }
  return ~crc;
}

Result<ZipArchive> ZipArchive::open(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndSize) return malformed("it is too short for a zip file");
  std::size_t end = bytes.size() - kEndSize;
  const std::size_t first = end > kLongestComment ? end - kLongestComment : 0;
  while (load32(bytes, end) != kEndOfDirectory) {
    if (end == first) return malformed("it has no zip directory");
    --end;
  }
  std::uint64_t count = load16(bytes, end + 10);
  std::uint64_t size = load32(bytes, end + 12);
  std::uint64_t offset = load32(bytes, end + 16);
  const bool wide = count == kFull16 || size == kFull32 || offset == kFull32;
  if (wide && end >= kLocator64Size && load32(bytes, end - kLocator64Size) == kLocator64) {
    const auto record = part(bytes, load(bytes, end - kLocator64Size + 8, 8), kEnd64Size);
    if (!record || load32(*record, 0) != kEndOfDirectory64) {
      return malformed("its zip64 directory is not where it should be");
    }
    count = load(*record, 32, 8);
    size = load(*record, 40, 8);
    offset = load(*record, 48, 8);
  }
  ZipArchive archive;
  archive.bytes_ = bytes;
  ENN_TRY(archive.read_directory(offset, size, count));
  return archive;
}

Status ZipArchive::read_directory(std::uint64_t offset, std::uint64_t size, std::uint64_t count) {
  const auto found = part(bytes_, offset, size);
  if (!found) return malformed("its directory lies outside the file");
  std::span<const std::byte> directory = *found;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (directory.size() < kDirectoryHeaderSize || load32(directory, 0) != kDirectoryHeader) {
      return malformed("its directory ends too early");
    }
    Entry entry;
    entry.flags = load16(directory, 8);
    entry.method = load16(directory, 10);
    entry.crc = load32(directory, 16);
    entry.stored_size = load32(directory, 20);
    entry.size = load32(directory, 24);
    entry.offset = load32(directory, 42);
    const std::size_t name_size = load16(directory, 28);
    const std::size_t extra_size = load16(directory, 30);
    const std::size_t comment_size = load16(directory, 32);
    const std::size_t whole = kDirectoryHeaderSize + name_size + extra_size + comment_size;
    if (whole > directory.size()) return malformed("its directory ends too early");
    const auto name = directory.subspan(kDirectoryHeaderSize, name_size);
    auto extra = directory.subspan(kDirectoryHeaderSize + name_size, extra_size);
    while (extra.size() >= 4) {
      const std::size_t field_size = load16(extra, 2);
      if (field_size > extra.size() - 4) break;
      auto field = extra.subspan(4, field_size);
      if (load16(extra, 0) == kZip64Extra) {
        for (std::uint64_t* const value : {&entry.size, &entry.stored_size, &entry.offset}) {
          if (*value != kFull32) continue;
          if (field.size() < 8) return malformed("an entry's zip64 field is too short");
          *value = load(field, 0, 8);
          field = field.subspan(8);
        }
      }
      extra = extra.subspan(4 + field_size);
    }
    std::string key(reinterpret_cast<const char*>(name.data()), name.size());
    const auto [at, inserted] = entries_.emplace(std::move(key), entry);
    if (!inserted) {
      return malformed(str("the entry '", printable_text(at->first), "' is there twice"));
    }
    directory = directory.subspan(whole);
  }
  return {};
}

std::vector<std::string> ZipArchive::names(std::string_view prefix, std::string_view suffix) const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : entries_) {
    if (name.starts_with(prefix) && name.ends_with(suffix)) out.push_back(name);
  }
  return out;
}

std::vector<std::string> ZipArchive::names_by_place() const {
  std::vector<std::pair<std::uint64_t, std::string>> places;
  for (const auto& [name, entry] : entries_) places.emplace_back(entry.offset, name);
  std::sort(places.begin(), places.end());
  std::vector<std::string> out;
  for (auto& [offset, name] : places) out.push_back(std::move(name));
  return out;
}

Result<ZipArchive::Stored> ZipArchive::find(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return error(Code::InvalidArgument, "the archive has no entry '", printable_text(name), "'");
  }
  const Entry& entry = found->second;
  const std::string shown = printable_text(name);
  if ((entry.flags & kEncrypted) != 0) {
    return error(Code::Unsupported, "the archive's entry '", shown, "' is encrypted");
  }
  const auto header = part(bytes_, entry.offset, kLocalHeaderSize);
  if (!header || load32(*header, 0) != kLocalHeader) {
    return malformed(str("the entry '", shown, "' is not where its directory says"));
  }
  const std::uint64_t before = kLocalHeaderSize + load16(*header, 26) + load16(*header, 28);
  const auto contents = part(bytes_, entry.offset + before, entry.stored_size);
  if (!contents) return malformed(str("the entry '", shown, "' reaches beyond the file"));
  return Stored{*contents, entry.size, entry.crc, entry.method};
}

Result<std::span<const std::byte>> ZipArchive::read(std::string_view name) const {
  ENN_ASSIGN(const Stored entry, find(name));
  if (entry.method != 0 || entry.bytes.size() != entry.size) {
    return error(Code::Unsupported, "the archive's entry '", printable_text(name),
                 "' is compressed; torch.export.save stores its entries");
  }
  if (zip_crc32(entry.bytes) != entry.crc) {
    return malformed(str("the entry '", printable_text(name), "' does not have its checksum"));
  }
  return entry.bytes;
}

void ZipWriter::add(std::string_view name, std::span<const std::byte> contents) {
  if (contents.size() >= kFull32 || bytes_.size() >= kFull32 || name.size() >= kFull16) {
    too_large_ = true;
    return;
  }
  const auto offset = static_cast<std::uint32_t>(bytes_.size());
  const auto size = static_cast<std::uint32_t>(contents.size());
  const std::uint32_t crc = zip_crc32(contents);
  const std::size_t unpadded = bytes_.size() + kLocalHeaderSize + name.size() + kPaddingHeaderSize;
  const std::size_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  const auto name_bytes = std::as_bytes(std::span(name));
  // What both headers have in common, from the version that a reader needs to the name's size.
  const auto common = [&](std::vector<std::byte>& out) {
    store(out, kVersionNeeded, 2);
    store(out, kNamesAreUtf8, 2);
    store(out, 0, 2);  // stored
    store(out, 0, 2);  // time
    store(out, kFirstDate, 2);
    store(out, crc, 4);
    store(out, size, 4);
    store(out, size, 4);
    store(out, name.size(), 2);
  };
  store(bytes_, kLocalHeader, 4);
  common(bytes_);
  store(bytes_, kPaddingHeaderSize + padding, 2);
  bytes_.insert(bytes_.end(), name_bytes.begin(), name_bytes.end());
  store(bytes_, kPaddingExtra, 2);
  store(bytes_, padding, 2);
  bytes_.resize(bytes_.size() + padding);
  bytes_.insert(bytes_.end(), contents.begin(), contents.end());

  store(directory_, kDirectoryHeader, 4);
  store(directory_, 0, 2);  // version that made it
  common(directory_);
  for (const unsigned width : {2U, 2U, 2U, 2U, 4U}) store(directory_, 0, width);
  store(directory_, offset, 4);
  directory_.insert(directory_.end(), name_bytes.begin(), name_bytes.end());
  ++count_;
}

Result<std::vector<std::byte>> ZipWriter::finish() && {
  if (too_large_ || bytes_.size() >= kFull32 || count_ >= kFull16) {
    return error(Code::ResourceExhausted, "the archive would be larger than 4 GiB");
  }
  const std::size_t offset = bytes_.size();
  bytes_.insert(bytes_.end(), directory_.begin(), directory_.end());
  store(bytes_, kEndOfDirectory, 4);
  store(bytes_, 0, 4);  // disks
  store(bytes_, count_, 2);
  store(bytes_, count_, 2);
  store(bytes_, directory_.size(), 4);
  store(bytes_, offset, 4);
  store(bytes_, 0, 2);  // comment
  return std::move(bytes_);
}

}  // namespace enn

#include "runtime/payload.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/checksum.hpp"
#include "base/payload_header.hpp"

namespace enn {
namespace {

// Little-endian, at any address.
template <typename Integer>
Integer load(std::span<const std::byte> bytes, std::size_t at) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value |= static_cast<Integer>(static_cast<Integer>(bytes[at + i]) << (8 * i));
  }
  return value;
}

}  // namespace

Result<std::span<const std::byte>> open_payload(std::span<const std::byte> payload) {
  if (payload.size() < kPayloadHeaderBytes) {
    return error(Code::InvalidProgram, "the program is cut off: ", payload.size(),
                 " bytes, fewer than its header's ", kPayloadHeaderBytes);
  }
  if (std::memcmp(payload.data(), kPayloadMagic.data(), kPayloadMagic.size()) != 0) {
    return error(Code::InvalidProgram,
                 "the bytes are not an ENN program: they do not begin with ENN1");
  }
  if (load<std::uint32_t>(payload, 20) != crc32c(payload.first(20))) {
    return error(Code::InvalidProgram, "the program is damaged: its header's checksum is wrong");
  }
  const auto version = load<std::uint32_t>(payload, 4);
  if (version != kPayloadHeaderVersion) {
    return error(Code::InvalidProgram, "the program's header has version ", version,
                 ", this runtime reads version ", kPayloadHeaderVersion);
  }
  const auto reserved = payload.subspan(24, kPayloadHeaderBytes - 24);
  if (std::any_of(reserved.begin(), reserved.end(),
                  [](std::byte b) { return b != std::byte{0}; })) {
    return error(Code::InvalidProgram, "the program is damaged: reserved bytes are not zero");
  }
  const auto body = payload.subspan(kPayloadHeaderBytes);
  const auto size = load<std::uint64_t>(payload, 8);
  if (size != body.size()) {
    return error(Code::InvalidProgram, "the program has ", body.size(),
                 " bytes after its header, which announces ", size);
  }
  if (load<std::uint32_t>(payload, 16) != crc32c(body)) {
    return error(Code::InvalidProgram, "the program is damaged: its checksum is wrong");
  }
  return body;
}

}  // namespace enn

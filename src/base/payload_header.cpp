#include "base/payload_header.hpp"

#include <cstring>

#include "base/checksum.hpp"

namespace enn {

void write_payload_header(std::span<std::byte> payload) {
  const auto store = [&](std::size_t at, const auto& value) {
    std::memcpy(payload.data() + at, &value, sizeof value);
  };
  const std::span<const std::byte> body = payload.subspan(kPayloadHeaderBytes);
  store(0, kPayloadMagic);
  store(4, kPayloadHeaderVersion);
  store(8, std::uint64_t{body.size()});
  store(16, crc32c(body));
  store(20, crc32c(payload.first(20)));
}

}  // namespace enn

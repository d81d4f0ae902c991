#include "data/inflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace enn {
namespace {

constexpr int kRaw = -MAX_WBITS;
constexpr int kGzip = MAX_WBITS + 16;
constexpr std::size_t kStep = std::size_t{1} << 20U;

// The output grows with what was unpacked, never with what a header says.
Result<std::vector<std::byte>> unpack(std::span<const std::byte> bytes, std::uint64_t limit,
                                      int window) {
  z_stream stream{};
  if (inflateInit2(&stream, window) != Z_OK) {
    return error(Code::ResourceExhausted, "there is no memory to decompress with");
  }
  std::vector<std::byte> out;
  std::size_t used = 0;
  std::size_t read = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    if (stream.avail_in == 0 && read < bytes.size()) {
      const std::size_t step =
          std::min<std::size_t>(bytes.size() - read, std::numeric_limits<uInt>::max());
      // zlib does not write to its input.
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data() + read));
      stream.avail_in = static_cast<uInt>(step);
      read += step;
    }
    // One byte beyond the limit shows that there is more.
    if (used == out.size()) {
      const std::uint64_t more = std::min<std::uint64_t>(limit + 1 - used, kStep + used);
      if (more == 0) break;
      out.resize(used + static_cast<std::size_t>(more));
    }
    const auto room = static_cast<uInt>(
        std::min<std::size_t>(out.size() - used, std::numeric_limits<uInt>::max()));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = room;
    state = inflate(&stream, Z_NO_FLUSH);
    used += room - stream.avail_out;
  }
  inflateEnd(&stream);
  if (used > limit) {
    return error(Code::ResourceExhausted, "it unpacks to more than ", limit, " bytes");
  }
  if (state != Z_STREAM_END) {
    return error(Code::InvalidArgument, "its compressed data are damaged or end too early");
  }
  out.resize(used);
  return out;
}

}  // namespace

Result<std::vector<std::byte>> inflate_raw(std::span<const std::byte> bytes, std::uint64_t size) {
  if (size / kLargestInflation > bytes.size()) {
    return error(Code::InvalidArgument, "it claims ", size, " bytes, more than ", bytes.size(),
                 " compressed ones can hold");
  }
  ENN_ASSIGN(std::vector<std::byte> out, unpack(bytes, size, kRaw));
  if (out.size() != size) {
    return error(Code::InvalidArgument, "it unpacks to ", out.size(), " bytes, not ", size);
  }
  return out;
}

Result<std::vector<std::byte>> inflate_gzip(std::span<const std::byte> bytes, std::uint64_t limit) {
  return unpack(bytes, limit, kGzip);
}

}  // namespace enn

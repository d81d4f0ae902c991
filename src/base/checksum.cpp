#include "base/checksum.hpp"

#include <array>
#include <cstring>

#include "base/checksum_kernels.hpp"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace enn {
namespace checksum {
namespace {

// Bit-reversed Castagnoli polynomial.
constexpr std::uint32_t kPolynomial = 0x82F63B78U;

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[k][b] = the register after the byte b and k zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint32_t previous = tables[k - 1][b];
      tables[k][b] = (previous >> 8U) ^ tables[0][previous & 0xFFU];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

constexpr std::uint32_t step(std::uint32_t crc, std::byte byte) {
  return (crc >> 8U) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(byte)) & 0xFFU];
}

// Byte `index` of a little-endian word.
constexpr std::uint32_t byte_of(std::uint32_t word, unsigned index) {
  return (word >> (8U * index)) & 0xFFU;
}

std::uint32_t load_little_endian(const std::byte* bytes) {
  std::uint32_t word = 0;
  for (unsigned i = 0; i < 4; ++i) word |= static_cast<std::uint32_t>(bytes[i]) << (8U * i);
  return word;
}

}  // namespace

std::uint32_t crc32c_table(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  while (bytes.size() >= 8) {
    const std::uint32_t low = crc ^ load_little_endian(bytes.data());
    const std::uint32_t high = load_little_endian(bytes.data() + 4);
    crc = 0;
    for (unsigned i = 0; i < 4; ++i) {
      crc ^= kTables[7 - i][byte_of(low, i)] ^ kTables[3 - i][byte_of(high, i)];
    }
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes) crc = step(crc, byte);
  return crc;
}

#if defined(__x86_64__)

bool has_crc32c_sse42() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(
    std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  const std::byte* data = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = crc;
  for (; left >= 8; left -= 8, data += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; left > 0; --left, ++data) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*data));
  return crc;
}

#else

bool has_crc32c_sse42() noexcept { return false; }

std::uint32_t crc32c_sse42(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  return crc32c_table(crc, bytes);
}

#endif

}  // namespace checksum

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  static const bool hardware = checksum::has_crc32c_sse42();
  return ~(hardware ? checksum::crc32c_sse42(~0U, bytes) : checksum::crc32c_table(~0U, bytes));
}

}  // namespace enn

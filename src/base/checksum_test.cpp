#include "base/checksum.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "base/checksum_kernels.hpp"

namespace enn {
namespace {

using Kernel = std::uint32_t (*)(std::uint32_t, std::span<const std::byte>) noexcept;

std::uint32_t finished(Kernel kernel, std::span<const std::byte> bytes) {
  return ~kernel(~0U, bytes);
}

struct Vector {
  std::vector<std::byte> bytes;
  std::uint32_t crc;
};

// RFC 3720 appendix B.4, and the check value of the catalogue of CRC algorithms.
std::vector<Vector> vectors() {
  std::vector<std::byte> up;
  std::vector<std::byte> down;
  for (int i = 0; i < 32; ++i) {
    up.push_back(static_cast<std::byte>(i));
    down.push_back(static_cast<std::byte>(31 - i));
  }
  std::vector<std::byte> digits;
  for (const char c : std::string_view("123456789")) digits.push_back(static_cast<std::byte>(c));
  std::vector<std::byte> command(48);  // an iSCSI read (10) command
  command[0] = std::byte{0x01};
  command[1] = std::byte{0xC0};
  command[16] = std::byte{0x14};
  command[22] = std::byte{0x04};
  command[27] = std::byte{0x14};
  command[31] = std::byte{0x18};
  command[32] = std::byte{0x28};
  command[40] = std::byte{0x02};
  return {{std::vector<std::byte>(32, std::byte{0x00}), 0x8A9136AAU},
          {std::vector<std::byte>(32, std::byte{0xFF}), 0x62A8AB43U},
          {up, 0x46DD794EU},
          {down, 0x113FDB5CU},
          {command, 0xD9963A56U},
          {digits, 0xE3069283U},
          {{}, 0U}};
}

TEST(Crc32c, AgreesWithThePublishedVectors) {
  for (const Vector& v : vectors()) {
    EXPECT_EQ(crc32c(v.bytes), v.crc);
    EXPECT_EQ(finished(checksum::crc32c_table, v.bytes), v.crc);
  }
}

TEST(Crc32c, InstructionAgreesWithThePublishedVectors) {
  if (!checksum::has_crc32c_sse42()) GTEST_SKIP() << "this CPU has no SSE4.2";
  for (const Vector& v : vectors()) EXPECT_EQ(finished(checksum::crc32c_sse42, v.bytes), v.crc);
}

TEST(Crc32c, EveryLengthAndAddressEqualsTheBitwiseDefinition) {
  std::vector<std::byte> bytes(96);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t size = 0; start + size <= bytes.size(); ++size) {
      const auto part = std::span<const std::byte>(bytes).subspan(start, size);
      std::uint32_t expected = ~0U;
      for (const std::byte byte : part) {
        expected ^= static_cast<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) {
          expected = (expected >> 1U) ^ ((expected & 1U) != 0 ? 0x82F63B78U : 0U);
        }
      }
      EXPECT_EQ(crc32c(part), ~expected) << start << " " << size;
      EXPECT_EQ(finished(checksum::crc32c_table, part), ~expected) << start << " " << size;
    }
  }
}

}  // namespace
}  // namespace enn

#include "runtime/payload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.hpp"
#include "runtime/testing.hpp"

namespace enn {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> sample() {
  std::vector<std::byte> body(200);
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<std::byte>(i * 7);
  return testing::payload_of(body);
}

// Recomputes the header's own checksum after a change to it.
void seal(std::vector<std::byte>& payload) {
  const std::uint32_t crc = crc32c(std::span(payload).first(20));
  std::memcpy(payload.data() + 20, &crc, sizeof crc);
}

TEST(Payload, TheBodyIsWhatFollowsTheHeader) {
  const std::vector<std::byte> payload = sample();
  const auto body = open_payload(payload);
  ASSERT_TRUE(body.ok()) << body.status().message();
  EXPECT_EQ(body.value().data(), payload.data() + 64);
  EXPECT_EQ(body.value().size(), 200U);
}

TEST(Payload, EveryFlippedBitIsRefused) {
  std::vector<std::byte> payload = sample();
  for (std::size_t i = 0; i < payload.size() * 8; ++i) {
    const std::byte bit{static_cast<unsigned char>(1U << (i % 8))};
    payload[i / 8] ^= bit;
    EXPECT_EQ(open_payload(payload).status().code(), Code::InvalidProgram) << "bit " << i;
    payload[i / 8] ^= bit;
  }
  EXPECT_TRUE(open_payload(payload).ok());
}

TEST(Payload, EveryOtherLengthIsRefused) {
  std::vector<std::byte> payload = sample();
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(open_payload(std::span(payload).first(size)).ok()) << size;
  }
  payload.push_back(std::byte{0});
  EXPECT_THAT(open_payload(payload).status().message(), HasSubstr("201 bytes after its header"));
}

TEST(Payload, MessagesSayWhatIsWrong) {
  std::vector<std::byte> payload = sample();
  EXPECT_THAT(open_payload(std::span(payload).first(12)).status().message(), HasSubstr("cut off"));

  payload[0] = std::byte{'X'};
  EXPECT_THAT(open_payload(payload).status().message(), HasSubstr("not an ENN program"));

  payload = sample();
  payload[4] = std::byte{9};
  seal(payload);
  EXPECT_THAT(open_payload(payload).status().message(), HasSubstr("version 9"));

  payload = sample();
  payload[100] ^= std::byte{1};
  EXPECT_THAT(open_payload(payload).status().message(), HasSubstr("damaged"));

  payload = sample();
  payload[40] = std::byte{1};
  EXPECT_THAT(open_payload(payload).status().message(), HasSubstr("reserved"));
}

}  // namespace
}  // namespace enn

#include "base/file_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace enn {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class FileIo : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "enn_file_io_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(FileIo, WhatIsWrittenIsReadBack) {
  std::vector<std::byte> bytes(100'003);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31);
  for (const std::vector<std::byte>& content : {bytes, bytes_of("shorter"), bytes_of("")}) {
    const Status status = write_file_atomically(folder_ / "file.bin", content);
    ASSERT_TRUE(status.ok()) << status.message();
    const Result<std::vector<std::byte>> read = read_file(folder_ / "file.bin");
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read.value(), content);
    EXPECT_EQ(files(), 1U);
  }
}

TEST_F(FileIo, AFailedWriteLeavesNothingBehind) {
  const Status status = write_file_atomically(folder_ / "absent" / "file.bin", bytes_of("x"));
  EXPECT_EQ(status.code(), Code::InvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("file.bin"));
  EXPECT_EQ(files(), 0U);
}

TEST_F(FileIo, AFolderInTheWayIsReportedAndKept) {
  std::filesystem::create_directory(folder_ / "file.bin");
  std::filesystem::create_directory(folder_ / "file.bin" / "inside");
  const Status status = write_file_atomically(folder_ / "file.bin", bytes_of("x"));
  EXPECT_THAT(status.message(), HasSubstr("cannot replace"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "file.bin" / "inside"));
  EXPECT_EQ(files(), 1U);
}

TEST_F(FileIo, ReadingNamesTheFileAndTheReason) {
  EXPECT_THAT(read_file(folder_ / "absent.bin").status().message(),
              ::testing::AllOf(HasSubstr("absent.bin"), HasSubstr("No such file")));
  EXPECT_THAT(read_file(folder_).status().message(), HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace enn

#include "base/file_io.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
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

std::string text_of(const std::filesystem::path& path) {
  const Result<std::vector<std::byte>> read = read_file(path);
  EXPECT_TRUE(read.ok()) << read.status().message();
  return {reinterpret_cast<const char*>(read.value().data()), read.value().size()};
}

TEST_F(FileIo, LinksAndPermissionsStay) {
  const auto target = folder_ / "target.bin";
  const auto link = folder_ / "link.bin";
  std::filesystem::create_symlink("target.bin", link);
  // Once through a link that leads nowhere yet, once through one that leads to a file.
  for (const char* const text : {"one", "two"}) {
    const Status status = write_file_atomically(link, bytes_of(text));
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_EQ(text_of(target), text);
    std::filesystem::permissions(target, std::filesystem::perms(0640));
  }
  ASSERT_TRUE(write_file_atomically(target, bytes_of("three")).ok());
  EXPECT_EQ(std::filesystem::status(target).permissions(), std::filesystem::perms(0640));
  EXPECT_TRUE(is_same_file(link, target));
  EXPECT_FALSE(is_same_file(target, folder_ / "absent"));
  std::filesystem::create_symlink("loop", folder_ / "loop");
  EXPECT_THAT(write_file_atomically(folder_ / "loop", bytes_of("x")).message(),
              HasSubstr("follow the link"));
}

TEST_F(FileIo, DevicesAndPipesAreWrittenTo) {
  ASSERT_TRUE(write_file_atomically("/dev/null", bytes_of("x")).ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  const auto pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_TRUE(check_writable(pipe).ok());
  ASSERT_TRUE(write_file_atomically(pipe, bytes_of("through")).ok());
  std::array<char, 16> read{};
  EXPECT_EQ(::read(reader, read.data(), read.size()), 7);
  EXPECT_STREQ(read.data(), "through");
  close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST_F(FileIo, WhetherAPathCanBeWrittenIsKnownBefore) {
  EXPECT_TRUE(check_writable(folder_ / "new.bin").ok());
  EXPECT_EQ(files(), 0U);
  EXPECT_THAT(check_writable(folder_ / "absent" / "file.bin").message(),
              ::testing::AllOf(HasSubstr("file.bin"), HasSubstr("No such file")));
  EXPECT_THAT(check_writable(folder_).message(), HasSubstr("Is a directory"));
  ASSERT_TRUE(write_file_atomically(folder_ / "old.bin", bytes_of("old")).ok());
  EXPECT_TRUE(check_writable(folder_ / "old.bin").ok());
  EXPECT_EQ(text_of(folder_ / "old.bin"), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(FileIo, ReadingNamesTheFileAndTheReason) {
  EXPECT_THAT(read_file(folder_ / "absent.bin").status().message(),
              ::testing::AllOf(HasSubstr("absent.bin"), HasSubstr("No such file")));
  EXPECT_THAT(read_file(folder_).status().message(), HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace enn

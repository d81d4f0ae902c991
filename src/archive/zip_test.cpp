#include "archive/zip.hpp"

#include <gmock/gmock.h>

#include <cstring>

#include "archive/testing.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Zip, ChecksumsAreThoseOfZlib) {
  EXPECT_EQ(zip_crc32(std::as_bytes(std::span(std::string_view("123456789")))), 0xCBF43926U);
}

TEST(Zip, WhatIsWrittenIsReadAndAligned) {
  ZipWriter writer;
  for (const std::string_view name : {"b", "a/longer", "empty"}) {
    writer.add(name, std::as_bytes(std::span(name == "empty" ? std::string_view() : name)));
  }
  const auto bytes = std::move(writer).finish();
  ASSERT_TRUE(bytes.ok());
  const auto zip = ZipArchive::open(bytes.value());
  ASSERT_TRUE(zip.ok()) << zip.status().message();
  EXPECT_THAT(zip.value().names("", ""), ElementsAre("a/longer", "b", "empty"));
  EXPECT_THAT(zip.value().names_by_place(), ElementsAre("b", "a/longer", "empty"));
  const auto contents = zip.value().read("a/longer");
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(text(contents.value()), "a/longer");
  EXPECT_EQ((contents.value().data() - bytes.value().data()) % 64, 0);
  EXPECT_EQ(zip.value().read("empty").value().size(), 0U);
}

TEST(Zip, CompressedEntriesAreRefused) {
  std::vector<std::byte> bytes = testing::zip_of({{"a", "contents"}});
  const std::string_view all = text(bytes);
  const std::size_t directory = all.find("PK\x01\x02");
  bytes[directory + 10] = std::byte{8};  // deflate
  const auto zip = ZipArchive::open(bytes);
  ASSERT_TRUE(zip.ok());
  EXPECT_THAT(zip.value().read("a").status().message(), HasSubstr("is compressed"));
}

TEST(Zip, TwiceTheSameNameIsRefused) {
  EXPECT_THAT(
      [] {
        ZipWriter writer;
        writer.add("a", {});
        writer.add("a", {});
        const auto bytes = std::move(writer).finish();
        return ZipArchive::open(bytes.value()).status().message();
      }(),
      HasSubstr("'a' is there twice"));
}

}  // namespace
}  // namespace enn

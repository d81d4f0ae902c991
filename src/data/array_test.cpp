#include "data/array.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace enn {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string npy(std::string_view header, std::string_view data) {
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(header.size());
  out += '\0';
  out += header;
  out += data;
  return out;
}

std::vector<double> values_of(const Array& array) {
  return to_doubles({array.type(), array.bytes()});
}

TEST(Npy, ColumnMajorAndBigEndianBecomeRowMajor) {
  // 2 x 3, in memory a(0,0) a(1,0) a(0,1) a(1,1) a(0,2) a(1,2), each high byte first.
  const auto bytes = bytes_of(npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }",
                                  std::string_view("\0\1\0\2\0\3\0\4\0\5\0\6", 12)));
  const auto array = parse_npy(bytes, nullptr);
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array.value().type(), (TensorType{DType::Int16, {2, 3}}));
  EXPECT_THAT(values_of(array.value()), testing::ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_EQ(array.value().count(), 2U);
  EXPECT_THAT(to_doubles(array.value().at(1)), testing::ElementsAre(2, 4, 6));
}

TEST(Npy, WhatIsWrittenIsRead) {
  const std::vector<float> values = {1.5F, -2.0F, 3.25F};
  const TensorView view{{DType::Float32, {3, 1}}, std::as_bytes(std::span(values))};
  const auto bytes = to_npy(view);
  const auto array = parse_npy(bytes, nullptr);
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array.value().type(), view.type);
  EXPECT_THAT(values_of(array.value()), testing::ElementsAre(1.5, -2.0, 3.25));
}

TEST(Npy, ShapesThatTheBytesDoNotHoldAreRefused) {
  const auto bytes =
      bytes_of(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 3)}", "abcd"));
  const auto array = parse_npy(bytes, nullptr);
  ASSERT_FALSE(array.ok());
  EXPECT_THAT(array.status().message(), testing::HasSubstr("but has 4"));
}

TEST(Npy, ObjectsAreRefused) {
  const auto bytes = bytes_of(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "x"));
  EXPECT_THAT(parse_npy(bytes, nullptr).status().message(), testing::HasSubstr("'|O'"));
}

TEST(Idx, ImagesAndLabels) {
  const auto bytes =
      bytes_of(std::string_view("\0\0\x08\x03\0\0\0\2\0\0\0\1\0\0\0\2\x01\x02\x03\xFF", 20));
  const auto array = parse_idx(bytes, nullptr);
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array.value().type(), (TensorType{DType::UInt8, {2, 1, 2}}));
  EXPECT_THAT(values_of(array.value()), testing::ElementsAre(1, 2, 3, 255));
}

TEST(Raw, BytesThatAreNoWholeSamplesAreRefused) {
  const auto bytes = bytes_of("123456789");
  EXPECT_TRUE(parse_raw(bytes, {DType::UInt8, {3}}, nullptr).ok());
  EXPECT_FALSE(parse_raw(bytes, {DType::UInt8, {2}}, nullptr).ok());
}

TEST(Convert, IntegersSaturateAndFloatsTruncate) {
  const std::vector<double> values = {-3.7, 2.9, 1e30, -1e30};
  const TensorView view{{DType::Float64, {4}}, std::as_bytes(std::span(values))};
  EXPECT_THAT(to_doubles(convert(view, DType::Int8).view()),
              testing::ElementsAre(-3, 2, 127, -128));
  EXPECT_THAT(to_doubles(convert(view, DType::UInt8).view()), testing::ElementsAre(0, 2, 255, 0));
}

}  // namespace
}  // namespace enn

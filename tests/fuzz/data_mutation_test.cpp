// Images, arrays and label lists damaged in tens of thousands of ways: each is refused with a
// sentence or read, within the limits. ENN_FUZZ_SEED and ENN_FUZZ_MUTATIONS choose another run.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>

#include "base/file_io.hpp"
#include "damage.hpp"
#include "data/array.hpp"
#include "data/dataset.hpp"
#include "data/image.hpp"
#include "environment.hpp"
#include "memory_watch.hpp"

namespace enn {
namespace {

constexpr std::size_t kMemoryLimit = std::size_t{16} << 20U;

struct Reader {
  std::string file;  // of tests/data/damaged
  std::function<Status(std::span<const std::byte>, const DataLimits&)> read;
};

Status image(std::span<const std::byte> bytes, const DataLimits& limits) {
  ENN_ASSIGN(const Image decoded, decode_image(bytes, limits));
  const std::size_t size = std::size_t{decoded.width} * decoded.height * decoded.channels;
  return size == decoded.pixels.size() ? Status() : Status(Code::Internal, "sizes differ");
}

// Touches every element.
Status whole(const Array& array) {
  const auto values = to_doubles({array.type(), array.bytes()});
  return static_cast<std::int64_t>(values.size()) == numel(array.type().shape)
             ? Status()
             : Status(Code::Internal, "sizes differ");
}

Status npy(std::span<const std::byte> bytes, const DataLimits& limits) {
  ENN_ASSIGN(const Array array, parse_npy(bytes, nullptr, limits));
  return whole(array);
}

Status npz(std::span<const std::byte> bytes, const DataLimits& limits) {
  ENN_ASSIGN(const std::vector<NamedArray> arrays, parse_npz(bytes, nullptr, limits));
  for (const NamedArray& array : arrays) ENN_TRY(whole(array.array));
  return {};
}

Status idx(std::span<const std::byte> bytes, const DataLimits& limits) {
  ENN_ASSIGN(const Array array, parse_idx(bytes, nullptr, limits));
  return whole(array);
}

Status list(std::span<const std::byte> bytes, const DataLimits& /*limits*/) {
  return parse_label_list({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).status();
}

TEST(DataMutation, EveryOneIsRefusedOrReadWithinTheLimits) {
  const auto [seed, mutations] = testing::fuzz_run(20261125, 42'000);
  const std::vector<Reader> readers = {
      {"colour.png", image},  {"palette.png", image},  {"interlaced.png", image},
      {"grey16.png", image},  {"baseline.jpg", image}, {"progressive.jpg", image},
      {"grey.jpg", image},    {"array.npy", npy},      {"column_major.npy", npy},
      {"stored.npz", npz},    {"deflated.npz", npz},   {"images.idx", idx},
      {"images.idx.gz", idx}, {"labels.txt", list},
  };
  std::vector<std::vector<std::byte>> files;
  DataLimits limits;
  limits.max_bytes = kMemoryLimit / 4;
  limits.max_pixels = std::uint64_t{1} << 18U;
  for (const Reader& reader : readers) {
    auto file = read_file(std::filesystem::path(ENN_TEST_DATA) / reader.file);
    ASSERT_TRUE(file.ok()) << file.status().message();
    files.push_back(std::move(file).value());
    const Status status = reader.read(files.back(), limits);
    ASSERT_TRUE(status.ok()) << reader.file << ": " << status.message();
  }
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> taken(readers.size());
  for (std::uint64_t i = 0; i < mutations; ++i) {
    const std::size_t r = i % readers.size();
    SCOPED_TRACE(str("mutation ", i, " of ", readers[r].file, ", seed ", seed));
    const std::vector<std::byte> bytes = testing::damaged(files[r], random);
    testing::reset_peak_memory();
    const std::size_t before = testing::peak_memory();
    const Status status = readers[r].read(bytes, limits);
    ASSERT_LE(testing::peak_memory() - before, kMemoryLimit) << status.message();
    ASSERT_NE(status.code(), Code::Internal) << status.message();
    if (status.ok()) {
      ++taken[r];
      continue;
    }
    ASSERT_TRUE(testing::is_printable(status.message())) << status.message();
  }
  for (std::size_t r = 0; r < readers.size(); ++r) {
    std::cout << readers[r].file << ": " << taken[r] << " of " << mutations / readers.size()
              << " read" << std::endl;
    EXPECT_LT(taken[r], mutations / readers.size());
  }
}

// A few bytes that claim to be a lot.
TEST(DataMutation, BombsAreRefusedBeforeTheyUnpack) {
  const auto folder = std::filesystem::path(ENN_TEST_DATA);
  const auto bomb = read_file(folder / "bomb.npz");
  ASSERT_TRUE(bomb.ok()) << bomb.status().message();
  testing::reset_peak_memory();
  const std::size_t before = testing::peak_memory();
  DataLimits limits;
  limits.max_bytes = std::uint64_t{1} << 20U;
  EXPECT_EQ(parse_npz(bomb.value(), nullptr, limits).status().code(), Code::ResourceExhausted);
  const auto large = read_file(folder / "bomb.png");
  ASSERT_TRUE(large.ok()) << large.status().message();
  EXPECT_FALSE(decode_image(large.value()).ok());
  EXPECT_LE(testing::peak_memory() - before, kMemoryLimit);
}

}  // namespace
}  // namespace enn

#include "runtime/byte_ranges.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace enn {
namespace {

TEST(ByteRanges, AgreesWithAListOfBytes) {
  constexpr std::uint64_t kSpace = 48;
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    ByteRanges ranges;
    std::vector<bool> bytes(kSpace, false);
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t begin = random() % (kSpace - 1);
      const ByteRange added{begin, std::min(begin + 1 + random() % 9, kSpace)};
      ranges.add(added);
      for (std::uint64_t b = added.begin; b < added.end; ++b) bytes[b] = true;
      for (std::uint64_t from = 0; from < kSpace; ++from) {
        bool all = true;
        bool any = false;
        for (std::uint64_t to = from + 1; to <= kSpace; ++to) {
          all = all && bytes[to - 1];
          any = any || bytes[to - 1];
          ASSERT_EQ(ranges.covers({from, to}), all) << "round " << round;
          ASSERT_EQ(ranges.overlaps({from, to}), any) << "round " << round;
        }
      }
    }
  }
}

}  // namespace
}  // namespace enn

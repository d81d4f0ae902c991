#pragma once

#include <cstdint>
#include <map>

namespace enn {

// Bytes [begin, end).
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] bool overlaps(const ByteRange& other) const {
    return begin < other.end && other.begin < end;
  }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// A set of bytes, kept as its maximal ranges.
class ByteRanges {
 public:
  void add(ByteRange range);
  [[nodiscard]] bool covers(ByteRange range) const;
  [[nodiscard]] bool overlaps(ByteRange range) const;

 private:
  std::map<std::uint64_t, std::uint64_t> end_by_begin_;
};

}  // namespace enn

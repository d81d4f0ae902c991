#include "runtime/byte_ranges.hpp"

#include <algorithm>
#include <iterator>

namespace enn {

void ByteRanges::add(ByteRange range) {
  // From the first range that touches the new one, swallow all that do.
  auto it = end_by_begin_.upper_bound(range.begin);
  if (it != end_by_begin_.begin() && std::prev(it)->second >= range.begin) --it;
  while (it != end_by_begin_.end() && it->first <= range.end) {
    range.begin = std::min(range.begin, it->first);
    range.end = std::max(range.end, it->second);
    it = end_by_begin_.erase(it);
  }
  end_by_begin_.emplace(range.begin, range.end);
}

bool ByteRanges::covers(ByteRange range) const {
  const auto it = end_by_begin_.upper_bound(range.begin);
  return it != end_by_begin_.begin() && std::prev(it)->second >= range.end;
}

bool ByteRanges::overlaps(ByteRange range) const {
  const auto it = end_by_begin_.lower_bound(range.end);
  return it != end_by_begin_.begin() && std::prev(it)->second > range.begin;
}

}  // namespace enn

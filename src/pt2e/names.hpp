// Names in messages.
#pragma once

#include <string>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// "[a, b]": the first ten of them, and how many more there are.
[[nodiscard]] inline std::string first_of(std::vector<std::string> names) {
  constexpr std::size_t kMost = 10;
  if (names.size() > kMost) {
    const std::string more = str("and ", names.size() - kMost, " more");
    names.resize(kMost);
    names.push_back(more);
  }
  return list_str(names);
}

}  // namespace enn

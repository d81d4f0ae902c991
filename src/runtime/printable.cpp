#include "runtime/printable.hpp"

#include <algorithm>
#include <string_view>

namespace enn {

std::string printable(const flatbuffers::String* text) {
  constexpr std::size_t kLongest = 128;
  if (text == nullptr) return {};
  std::string out(std::string_view(text->c_str(), text->size()).substr(0, kLongest));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace enn

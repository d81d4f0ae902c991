#include "archive/source_line.hpp"

#include <algorithm>

#include "enn/result.hpp"

namespace enn {
namespace {

std::string printable_end(std::string text) {
  constexpr std::size_t kLongest = 256;
  if (text.size() > kLongest) text.erase(0, text.size() - kLongest);
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

std::string source_line(std::string_view trace) {
  constexpr std::string_view kFile = "File \"";
  constexpr std::string_view kLine = "\", line ";
  std::string last;
  std::string own;
  for (std::size_t at = trace.find(kFile); at != std::string_view::npos;
       at = trace.find(kFile, at)) {
    at += kFile.size();
    const std::size_t end = trace.find('"', at);
    if (end == std::string_view::npos) break;
    if (!trace.substr(end).starts_with(kLine)) continue;
    const std::string_view file = trace.substr(at, end - at);
    std::size_t digit = end + kLine.size();
    const std::size_t digits = digit;
    while (digit < trace.size() && trace[digit] >= '0' && trace[digit] <= '9') ++digit;
    if (digit == digits || file.empty()) continue;
    last = str(file, ":", trace.substr(digits, digit - digits));
    const bool torch = file.find("-packages/torch/") != std::string_view::npos;
    if (!torch && !file.starts_with('<')) own = last;
    at = digit;
  }
  return printable_end(own.empty() ? last : own);
}

}  // namespace enn

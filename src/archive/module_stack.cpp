#include "archive/module_stack.hpp"

#include <algorithm>
#include <string>

namespace enn {
namespace {

std::string printable_start(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  std::string out(text.substr(0, kLongest));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// The parts between commas outside of brackets: a path may be "blocks.slice(0, 2, None)".
std::vector<std::string_view> parts_of(std::string_view item) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t start = 0;
  for (std::size_t i = 0; i < item.size(); ++i) {
    if (item[i] == '(' || item[i] == '[') ++depth;
    if (item[i] == ')' || item[i] == ']') --depth;
    if (item[i] != ',' || depth != 0) continue;
    parts.push_back(item.substr(start, i - start));
    start = i + 1;
  }
  parts.push_back(item.substr(start));
  return parts;
}

}  // namespace

ModuleCall module_call(std::string_view path, std::string_view type) {
  return {plain_module_path(printable_start(path)), printable_start(type)};
}

std::vector<ModuleCall> module_calls(std::string_view stack) {
  std::vector<ModuleCall> out;
  while (!stack.empty()) {
    const std::size_t end = std::min(stack.find(';'), stack.size());
    const std::vector<std::string_view> parts = parts_of(stack.substr(0, end));
    if (parts.size() == 3) out.push_back(module_call(parts[1], parts[2]));
    stack.remove_prefix(std::min(end + 1, stack.size()));
  }
  return out;
}

}  // namespace enn

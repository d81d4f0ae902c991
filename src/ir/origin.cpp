#include "ir/origin.hpp"

#include <algorithm>

#include "base/regex.hpp"

namespace enn {
namespace {

// "torch.nn.Conv2d" for "torch.nn.modules.conv.Conv2d"; empty for the classes of others.
std::string public_name(std::string_view type) {
  constexpr std::string_view kModules = "torch.nn.modules.";
  if (!type.starts_with(kModules)) return {};
  return "torch.nn." + std::string(type.substr(type.rfind('.') + 1));
}

// Whether `file` is `tail` or ends with it after a '/'.
bool is_file(std::string_view file, std::string_view tail) {
  if (!file.ends_with(tail)) return false;
  return file.size() == tail.size() || file[file.size() - tail.size() - 1] == '/';
}

// The part of `file` that is the Python module in which the class `type` is defined; empty when the
// class is defined elsewhere. Classes may be nested in others.
std::string_view file_of_class(std::string_view file, std::string_view type) {
  for (std::size_t dot = type.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = type.rfind('.', dot - 1)) {
    std::string module(type.substr(0, dot));
    std::ranges::replace(module, '.', '/');
    for (const std::string_view end : {".py", "/__init__.py"}) {
      const std::size_t size = module.size() + end.size();
      if (is_file(file, module + std::string(end))) return file.substr(file.size() - size);
    }
  }
  return {};
}

std::string_view portable_file(std::string_view file, const std::vector<ModuleCall>& modules) {
  for (auto module = modules.rbegin(); module != modules.rend(); ++module) {
    if (const auto found = file_of_class(file, module->type); !found.empty()) return found;
  }
  constexpr std::string_view kPackages = "-packages/";  // site-packages, dist-packages
  const std::size_t packages = file.rfind(kPackages);
  if (packages != std::string_view::npos) return file.substr(packages + kPackages.size());
  return file.substr(file.find_last_of("/\\") + 1);
}

}  // namespace

std::string module_path(const Origin& origin) {
  return origin.modules.empty() ? std::string() : origin.modules.back().path;
}

std::string portable_source(const Origin& origin) {
  const std::string_view source = origin.source;
  const std::size_t colon = source.rfind(':');
  if (colon == std::string_view::npos) return {};
  return std::string(portable_file(source.substr(0, colon), origin.modules)) +
         std::string(source.substr(colon));
}

bool in_module(const Origin& origin, std::string_view pattern) {
  return std::ranges::any_of(origin.modules, [&](const ModuleCall& module) {
    return matches(pattern, module.path) || matches(pattern, module.type) ||
           matches(pattern, public_name(module.type));
  });
}

std::string plain_module_path(std::string_view path) {
  constexpr std::string_view kSelf = "L['self']";
  if (path.starts_with(kSelf)) path.remove_prefix(kSelf.size());
  if (path.starts_with('.')) path.remove_prefix(1);
  std::string out;
  for (std::size_t i = 0; i < path.size();) {
    if (path[i] != '@') {
      out += path[i++];
      continue;
    }
    ++i;
    while (i < path.size() && path[i] >= '0' && path[i] <= '9') ++i;
  }
  return out;
}

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with(kRegexPrefix)) {
    const auto regex = Regex::compile(pattern.substr(kRegexPrefix.size()));
    return regex.ok() && regex.value().matches(name);
  }
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(),
                     [](char c) { return c == '*'; });
}

}  // namespace enn

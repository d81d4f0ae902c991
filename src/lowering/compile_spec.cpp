#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "lowering/lowering.hpp"

namespace enn {
namespace {

// A program runs on any of them: the name is checked and otherwise has no effect.
constexpr std::array<std::string_view, 2> kChipsets{"E9955", "E9965"};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

Result<std::string> known_chipset(std::string_view chipset) {
  std::string name(chipset);
  std::ranges::transform(name, name.begin(), upper);
  if (std::ranges::find(kChipsets, name) != kChipsets.end()) return name;
  std::ranges::replace_if(name, [](char c) { return c < ' ' || c > '~'; }, '?');
  return error(Code::InvalidArgument, "chipset '", name, "' is not known; the chipsets are ",
               list_str(kChipsets));
}

constexpr std::string_view kSourceLines = "enn_source_lines";

}  // namespace

CompileSpec source_lines_compile_spec() { return {std::string(kSourceLines), {}}; }

bool asks_for_source_lines(std::span<const CompileSpec> specs) {
  return std::ranges::any_of(specs,
                             [](const CompileSpec& spec) { return spec.key == kSourceLines; });
}

Result<CompileSpec> gen_samsung_backend_compile_spec(std::string_view chipset,
                                                     PerformanceMode perf_mode) {
  nlohmann::ordered_json options;
  ENN_ASSIGN(options["chipset"], known_chipset(chipset));
  options["perf_mode"] = static_cast<int>(perf_mode);
  const std::string text = options.dump();
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return CompileSpec{std::string(kCompileOptions), {bytes, bytes + text.size()}};
}

Status check_compile_specs(std::span<const CompileSpec> specs) {
  for (const CompileSpec& spec : specs) {
    if (spec.key != kCompileOptions) continue;
    const auto* text = reinterpret_cast<const char*>(spec.value.data());
    const auto options = nlohmann::json::parse(text, text + spec.value.size(), nullptr, false);
    const auto chipset = options.is_object() ? options.find("chipset") : options.end();
    if (chipset == options.end() || !chipset->is_string()) {
      return error(Code::InvalidArgument, "the compile specification '", kCompileOptions,
                   "' is not one of gen_samsung_backend_compile_spec");
    }
    ENN_TRY(known_chipset(chipset->get<std::string>()).status());
  }
  return {};
}

}  // namespace enn

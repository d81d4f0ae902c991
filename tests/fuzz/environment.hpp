// The seed and the number of mutations of a run, from the environment, and what a message may hold.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace enn::testing {

struct FuzzRun {
  std::uint64_t seed = 0;
  std::uint64_t mutations = 0;
};

// ENN_FUZZ_SEED and ENN_FUZZ_MUTATIONS where they are set, else these; prints both.
[[nodiscard]] inline FuzzRun fuzz_run(std::uint64_t seed, std::uint64_t mutations) {
  const auto number = [](const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const FuzzRun run{number("ENN_FUZZ_SEED", seed), number("ENN_FUZZ_MUTATIONS", mutations)};
  std::cout << "ENN_FUZZ_SEED=" << run.seed << " ENN_FUZZ_MUTATIONS=" << run.mutations << std::endl;
  return run;
}

[[nodiscard]] inline bool is_printable(const std::string& text) {
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return !text.empty();
}

}  // namespace enn::testing

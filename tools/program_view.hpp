// A loaded program's steps, for people: what they read and write and how much they compute.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "enn/result.hpp"

namespace enn::tool {

struct StepView {
  std::string output;        // "uint8[1, 112, 112, 32]"; empty when it has none
  std::string storage;       // "arena", "output", …
  std::uint64_t offset = 0;  // in the arena
  std::uint64_t bytes = 0;   // of the output
  std::uint64_t macs = 0;    // multiply-adds of convolutions and matrix products
};

struct ProgramView {
  std::vector<StepView> steps;
  std::uint64_t constant_bytes = 0;
  std::uint64_t macs = 0;
};

// Precondition: Program::load took the payload.
[[nodiscard]] Result<ProgramView> view_program(std::span<const std::byte> payload);

}  // namespace enn::tool

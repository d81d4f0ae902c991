// What the running CPU can do, and the one environment variable that limits it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// Bit set of instruction-set features. A kernel row names those it needs.
enum class CpuFeature : std::uint32_t {
  Avx2 = 1U << 0U,        // AVX2 and FMA
  AvxVnni = 1U << 1U,     // 256-bit VEX dot products
  Avx512Vnni = 1U << 2U,  // AVX-512 F, BW, DQ, VL and VNNI
  Neon = 1U << 3U,
  NeonDot = 1U << 4U,
  NeonI8mm = 1U << 5U,
};

struct CpuFeatures {
  std::uint32_t bits = 0;

  [[nodiscard]] constexpr bool has(CpuFeature feature) const {
    return (bits & static_cast<std::uint32_t>(feature)) != 0;
  }
  [[nodiscard]] constexpr bool contains(CpuFeatures other) const {
    return (bits & other.bits) == other.bits;
  }
  friend constexpr CpuFeatures operator|(CpuFeatures a, CpuFeatures b) { return {a.bits | b.bits}; }
  friend constexpr bool operator==(CpuFeatures, CpuFeatures) = default;
};

// Features of the CPU and the operating system, detected at first use.
[[nodiscard]] CpuFeatures detected_features();

// "reference", "avx2", "avxvnni", "avx512vnni", "neon", "neondot", "neoni8mm": the levels that
// ENN_ISA takes. Each stands for a set of features that includes those of the levels it builds on.
[[nodiscard]] std::vector<std::string_view> isa_names();
// The features of a level; an error that lists the names when `name` is unknown, or one that says
// that this CPU lacks it.
[[nodiscard]] Result<CpuFeatures> features_of_isa(std::string_view name);
// features_of_isa(ENN_ISA) when that variable is set and not empty, else detected_features().
[[nodiscard]] Result<CpuFeatures> selected_features();
// The best level contained in `features`, for reports.
[[nodiscard]] std::string_view isa_name(CpuFeatures features);

}  // namespace enn

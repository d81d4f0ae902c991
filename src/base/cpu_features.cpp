#include "base/cpu_features.hpp"

#include <array>
#include <cstdlib>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace enn {
namespace {

constexpr CpuFeatures bit(CpuFeature feature) { return {static_cast<std::uint32_t>(feature)}; }

struct IsaLevel {
  std::string_view name;
  CpuFeatures features;
};

// Within one architecture from the least to the best.
constexpr std::array<IsaLevel, 7> kLevels{{
    {"reference", {}},
    {"avx2", bit(CpuFeature::Avx2)},
    {"avxvnni", bit(CpuFeature::Avx2) | bit(CpuFeature::AvxVnni)},
    {"avx512vnni", bit(CpuFeature::Avx2) | bit(CpuFeature::Avx512Vnni)},
    {"neon", bit(CpuFeature::Neon)},
    {"neondot", bit(CpuFeature::Neon) | bit(CpuFeature::NeonDot)},
    {"neoni8mm", bit(CpuFeature::Neon) | bit(CpuFeature::NeonDot) | bit(CpuFeature::NeonI8mm)},
}};

#if defined(__x86_64__) || defined(__i386__)

struct CpuidRegisters {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

// Zeros when the CPU has no such leaf.
CpuidRegisters cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuidRegisters r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

constexpr bool all_set(std::uint32_t value, std::uint32_t mask) { return (value & mask) == mask; }

// Which register files the operating system saves. Precondition: OSXSAVE.
std::uint32_t xcr0() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

CpuFeatures detect() {
  const CpuidRegisters basic = cpuid(1, 0);
  constexpr std::uint32_t kFma = 1U << 12U;
  constexpr std::uint32_t kOsxsave = 1U << 27U;
  constexpr std::uint32_t kAvx = 1U << 28U;
  if (!all_set(basic.ecx, kFma | kOsxsave | kAvx)) return {};
  constexpr std::uint32_t kXmmYmm = 0x6U;
  constexpr std::uint32_t kOpmaskZmm = 0xE0U;
  const std::uint32_t saved = xcr0();
  if (!all_set(saved, kXmmYmm)) return {};

  const CpuidRegisters extended = cpuid(7, 0);
  constexpr std::uint32_t kAvx2 = 1U << 5U;
  if (!all_set(extended.ebx, kAvx2)) return {};
  CpuFeatures found = bit(CpuFeature::Avx2);

  constexpr std::uint32_t kAvxVnni = 1U << 4U;
  if (extended.eax >= 1 && all_set(cpuid(7, 1).eax, kAvxVnni)) {
    found = found | bit(CpuFeature::AvxVnni);
  }
  constexpr std::uint32_t kAvx512FDqBwVl = 1U << 16U | 1U << 17U | 1U << 30U | 1U << 31U;
  constexpr std::uint32_t kAvx512Vnni = 1U << 11U;
  if (all_set(saved, kOpmaskZmm) && all_set(extended.ebx, kAvx512FDqBwVl) &&
      all_set(extended.ecx, kAvx512Vnni)) {
    found = found | bit(CpuFeature::Avx512Vnni);
  }
  return found;
}

#elif defined(__aarch64__)

CpuFeatures detect() {
  CpuFeatures found = bit(CpuFeature::Neon);
#if defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) {
    found = found | bit(CpuFeature::NeonDot);
    if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) found = found | bit(CpuFeature::NeonI8mm);
  }
#endif
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

CpuFeatures detected_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::vector<std::string_view> isa_names() {
  std::vector<std::string_view> names;
  for (const IsaLevel& level : kLevels) names.push_back(level.name);
  return names;
}

Result<CpuFeatures> features_of_isa(std::string_view name) {
  for (const IsaLevel& level : kLevels) {
    if (level.name != name) continue;
    if (!detected_features().contains(level.features)) {
      return error(Code::Unsupported, "this CPU lacks the instruction set ", name,
                   "; the best it has is ", isa_name(detected_features()));
    }
    return level.features;
  }
  return error(Code::InvalidArgument, "unknown instruction set \"", name, "\"; expected one of ",
               list_str(isa_names()));
}

Result<CpuFeatures> selected_features() {
  const char* const name = std::getenv("ENN_ISA");
  if (name == nullptr || *name == '\0') return detected_features();
  Result<CpuFeatures> features = features_of_isa(name);
  if (features.ok()) return features;
  return error(features.status().code(), "ENN_ISA: ", features.status().message());
}

std::string_view isa_name(CpuFeatures features) {
  std::string_view best;
  for (const IsaLevel& level : kLevels) {
    if (features.contains(level.features)) best = level.name;
  }
  return best;
}

}  // namespace enn

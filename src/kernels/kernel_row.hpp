// One row of a family's kernels.def: rows are ordered best first, and the last one needs no
// feature.
#pragma once

#include <cstddef>

#include "base/cpu_features.hpp"

namespace enn {

template <typename Run>
struct KernelRow {
  const char* name;
  CpuFeatures needs;
  Run run;
};

template <typename... Features>
[[nodiscard]] constexpr CpuFeatures needs(Features... features) {
  return {(0U | ... | static_cast<std::uint32_t>(features))};
}

// The first row that `features` allow.
template <typename Run, std::size_t kRows>
[[nodiscard]] constexpr const KernelRow<Run>& best_kernel(const KernelRow<Run> (&rows)[kRows],
                                                          CpuFeatures features) {
  std::size_t i = 0;
  while (i + 1 < kRows && !features.contains(rows[i].needs)) ++i;
  return rows[i];
}

}  // namespace enn

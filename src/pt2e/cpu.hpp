// The instruction sets that observers may use. Every one gives the same results.
#pragma once

#include "base/cpu_features.hpp"

namespace enn {

// As ENN_ISA says; where that names nothing known, the model's own loading has said so.
[[nodiscard]] inline CpuFeatures observer_features() {
  const Result<CpuFeatures> selected = selected_features();
  return selected.ok() ? selected.value() : detected_features();
}

}  // namespace enn

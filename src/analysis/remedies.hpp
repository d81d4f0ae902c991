#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "enn/analyze.hpp"

namespace enn {

// Below this SQNR of its isolated result, in dB, a layer is said to need help.
inline constexpr double kPoorSqnr = 30.0;

// What remedies are told from beside the layer itself.
struct Surroundings {
  // Quantized results and inputs by their names.
  std::unordered_map<std::string, const QuantizedValue*> values;
  // Of a value that others are joined with, to one scale: the layer that joins them.
  std::unordered_map<std::string, const LayerAnalysis*> joined_by;

  explicit Surroundings(const AnalysisReport& report);
};

// What would help the layer, the most promising first; none for one that needs no help.
[[nodiscard]] std::vector<Remedy> remedies_of(const LayerAnalysis& layer,
                                              const Surroundings& surroundings);

}  // namespace enn

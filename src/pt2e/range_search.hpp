// Ranges of quantized values that are chosen by what they do to the model's outputs. An observer
// sees the values of one tensor alone: it cannot know that a network makes little of those that
// are large, or that all depends on them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// Values of a float graph that share one quantization, as it is before the search.
struct SearchedRange {
  std::vector<ValueId> values;
  QuantizationSpec spec;
  QuantParams params;
};

// The quantization of each range, in the order of `ranges`. The float graph runs on the samples
// with one range quantized at a time; the range is widened or narrowed as long as the noise in the
// outputs falls. The noise of an output is taken in parts of its power, and outputs are added up.
// Ranges that make nearly none of the noise stay as they are.
//
// `inputs`, `outputs` and `mutations` are those of the graph. `progress` is called with the number
// of ranges done and of all. Errors are those of Model::compile_graph and of a run.
[[nodiscard]] Result<std::vector<QuantParams>> search_ranges(
    const Graph& graph, std::vector<NamedType> inputs, std::vector<NamedType> outputs,
    const std::vector<Mutation>& mutations, std::span<const SearchedRange> ranges,
    std::span<const std::vector<Tensor>> samples, const ModelOptions& options,
    const std::function<void(std::size_t, std::size_t)>& progress = {});

// About how many samples a search needs: with fewer it fits them instead of others.
inline constexpr std::size_t kRangeSearchSamples = 32;

}  // namespace enn

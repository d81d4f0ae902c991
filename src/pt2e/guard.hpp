// The guard: measures on samples what 8 bits make of each layer, and leaves in float what they
// destroy.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "enn/model.hpp"
#include "ir/explanation.hpp"
#include "pt2e/kept_samples.hpp"
#include "pt2e/placement.hpp"

namespace enn {

// Sites that are left when some nodes read in float, and some values are quantized by those alone
// that read them: each edge stays quantized whose value or reader still asks for it.
struct RemainingSites {
  std::vector<Site> sites;
  std::vector<std::size_t> numbers;  // of each, among the sites that there were
};

struct Guarded {
  RemainingSites remaining;
  // Nodes that read nothing in 8 bits any more, and values whose producer does not quantize them,
  // each with the reason.
  std::vector<std::pair<NodeId, std::string>> readers;
  std::vector<std::pair<ValueId, std::string>> values;
  std::vector<std::string> warnings;  // of one line each
};

// What is known of the model and its quantization. Nothing is owned.
struct GuardedModel {
  const Graph& graph;  // in float
  const std::vector<NamedType>& inputs;
  const std::vector<NamedType>& outputs;
  const std::vector<Mutation>& mutations;
  const Placement& placement;
  std::span<const QuantParams> params;  // by group
};

// `least_sqnr`, in dB: layers and values below it are destroyed. Samples of other types than the
// inputs are left out. Where nothing can be measured, all sites remain, and a warning says why.
[[nodiscard]] Guarded guard(const GuardedModel& model, const KeptSamples& samples,
                            double least_sqnr, const ModelOptions& options);

// Nothing is left in float.
[[nodiscard]] Guarded all_sites(const Placement& placement);

// Takes away what the guard leaves in float.
void apply(const Graph& graph, const Guarded& guarded, Annotations& annotations);

// The names of the nodes and inputs, each once, with the reason.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> names_and_reasons(
    const Graph& graph, const Guarded& guarded);

// Corrects what explain() said of the graph before.
void explain_guarded(const Graph& graph, const Guarded& guarded, std::vector<Explanation>& rows);

// What is to be said of samples that no range can be trusted of, a line each.
[[nodiscard]] std::vector<std::string> sample_warnings(const KeptSamples& samples);

}  // namespace enn

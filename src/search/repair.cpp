#include "enn/repair.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "archive/exported_program.hpp"
#include "ops/common.hpp"
#include "pt2e/equalization.hpp"
#include "pt2e/fuse_batch_norms.hpp"
#include "pt2e/range_search.hpp"

namespace enn {
namespace {

// Copies of some samples, from all parts of them.
Result<std::vector<std::vector<Tensor>>> some_samples(const FeedSamples& feed, Model& model) {
  std::vector<std::vector<Tensor>> samples;
  const RunModel keep = [&](std::span<const TensorView> inputs) -> Result<std::vector<Tensor>> {
    std::vector<Tensor>& sample = samples.emplace_back();
    for (const TensorView& input : inputs)
      sample.push_back({input.type, {input.bytes.begin(), input.bytes.end()}});
    return model(inputs);
  };
  ENN_TRY(feed(keep, kRangeSearchSamples));
  return samples;
}

}  // namespace

Result<ExportedProgram> equalize(const ExportedProgram& program, const FeedSamples& feed,
                                 const ModelOptions& options) {
  ENN_ASSIGN(const ExportedProgram transformed, transform_for_annotation(program));
  Graph graph = transformed.graph();
  ENN_TRY(fuse_batch_norms(graph));
  ENN_ASSIGN(Equalizer equalizer,
             Equalizer::create(graph, transformed.inputs(), transformed.outputs(),
                               transformed.mutations(), options));
  ENN_TRY(feed([&](std::span<const TensorView> inputs) { return equalizer(inputs); }, 0));
  ENN_ASSIGN(const auto constants, equalizer.constants());
  for (const auto& [id, elements] : constants) {
    const NodeId layer = graph.users(id).front();  // the only one
    const Value value = graph.value(id);
    const ValueId equalized =
        add_float_constant(graph, value.name + "_equalized", value.type.shape, elements);
    std::ranges::replace(graph.node(layer).inputs, id, equalized);
  }
  return with_graph(transformed, std::move(graph));
}

Result<QuantizedModel> quantize_repaired(
    const ExportedProgram& program, const EnnQuantizer& quantizer, const FeedSamples& feed,
    const ModelOptions& options, const std::function<void(std::size_t, std::size_t)>& progress) {
  EnnQuantizer learning = quantizer;
  learning.set_repair(false);
  ENN_TRY(learning.set_weight_rounding("learned"));
  ENN_ASSIGN(const ExportedProgram equalized, equalize(program, feed, options));
  ENN_ASSIGN(PreparedModel prepared, prepare_pt2e(equalized, learning, options));
  ENN_TRY(feed([&](std::span<const TensorView> inputs) { return prepared(inputs); }, 0));
  ModelOptions float_options = options;
  float_options.execution = Execution::Qdq;
  ENN_ASSIGN(Model model, Model::compile(equalized, float_options));
  ENN_ASSIGN(const auto samples, some_samples(feed, model));
  ENN_TRY(prepared.search_ranges(samples, progress));
  return convert_pt2e(prepared);
}

}  // namespace enn

// The roles of an operator. Each family implements each role in ops/<family>/<role>.cpp; the functions here
// dispatch by the family column of ops.def.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

class ProgramBuilder;   // compiler/program_builder.hpp

// The family column of ops.def, e.g. "conv".
[[nodiscard]] std::string_view family(Op op);

// Shape rule: the types of the results from operands and attributes, or why they do not fit together.
[[nodiscard]] Result<std::vector<TensorType>> infer(const Graph& graph, const Node& node);

// nullopt when the engine takes the node; otherwise one sentence that says why not, without the node's name.
[[nodiscard]] std::optional<std::string> unsupported_reason(const Graph& graph, const Node& node);

// Quantization rule: adds to `annotations` what `node` asks for. Called in the order of execution.
void annotate(const Graph& graph, NodeId node, const QuantizationConfig& config, Annotations& annotations);

// Where an operator's operands and results must lie.
enum class LayoutRule {
  Any,            // elementwise: any layout, the same for all rank-4 operands and results
  ChannelsLast,   // image operators
  Contiguous,     // operators on the logical order
};
[[nodiscard]] LayoutRule layout_rule(Op op);

// Writes the program operators that compute `node`. Precondition: all compiler passes have run.
[[nodiscard]] Status lower(const Graph& graph, const Node& node, ProgramBuilder& builder);

}  // namespace enn

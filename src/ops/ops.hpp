// The roles of an operator. Each family implements each role in ops/<family>/<role>.cpp; the
// functions here dispatch by the family column of ops.def.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.hpp"
#include "ir/rules.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

class ProgramBuilder;  // ops/program_builder.hpp

// The family column of ops.def, e.g. "conv".
[[nodiscard]] std::string_view family(Op op);

// nullopt when the engine takes the node; otherwise one sentence that says why not, without the
// node's name.
[[nodiscard]] std::optional<std::string> unsupported_reason(const Graph& graph, const Node& node);

// Quantization rule: adds to `annotations` what `node` asks for. Called in the order of execution.
void annotate(const Graph& graph, NodeId node, const QuantizationConfig& config,
              Annotations& annotations);

// Where an operator's rank-4 operands and results lie.
enum class LayoutRule {
  Same,          // elementwise: either layout, the same for all of them
  ChannelsLast,  // image operators
  Contiguous,    // operators on the logical order
  Free,          // each operand and result in any layout: the operator permutes as it goes
};

// How an operator behaves when its operands and its result are quantized.
enum class QuantizedForm {
  None,      // it has no 8-bit form: it runs in float between dequantize and quantize
  Computes,  // operands and result each have their own quantization
  Moves,     // elements pass through unchanged: the result has the operand's quantization
};

struct Traits {
  LayoutRule layout = LayoutRule::Same;
  QuantizedForm quantized = QuantizedForm::None;
  // In the 8-bit form, operands from this one on are parameters that stay as they are: biases,
  // weights of norms.
  std::size_t parameters_from = SIZE_MAX;
};

// The operand of a convolution or linear layer that is added to its result, where there is one:
// 8-bit, of the result's shape. Only the pass fold_qdq gives them any.
inline constexpr std::size_t kResidual = 3;
[[nodiscard]] inline bool has_residual(const Node& node) { return node.inputs.size() > kResidual; }

[[nodiscard]] Traits traits(const Graph& graph, const Node& node);
[[nodiscard]] inline bool moves_elements(const Graph& graph, const Node& node) {
  return traits(graph, node).quantized == QuantizedForm::Moves;
}

// Moves the elements of one float operand; the others say where to.
[[nodiscard]] bool moves_one(const Graph& graph, const Node& node);
// A function of one operand's elements, or of two's.
[[nodiscard]] bool is_elementwise(Op op);

// Writes the program steps that compute `node`. Precondition: all compiler passes have run.
[[nodiscard]] Status lower(const Graph& graph, const Node& node, ProgramBuilder& builder);

}  // namespace enn

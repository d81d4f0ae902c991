// Lut: operands input (8 bits, per tensor) and results [256] (float32): results[i] is what the
// stored byte i of the input stands for after the function. What the compiler makes of a graph of
// elementwise operators that computes one 8-bit value from another.
#include <array>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {

Result<std::vector<TensorType>> infer_lut(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return error(Code::InvalidGraph, "expected input and results");
  if (graph.value(node.inputs[1]).type != TensorType{DType::Float32, {256}})
    return error(Code::InvalidGraph, "the results are not float32[256]");
  return std::vector<TensorType>{graph.value(node.inputs[0]).type};
}

std::optional<std::string> support_lut(const Graph& graph, const Node& node) {
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_lut(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_lut(const Graph&, const Node&) {
  return {.layout = LayoutRule::Same, .quantized = QuantizedForm::None, .parameters_from = 1};
}

Status lower_lut(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  ENN_ASSIGN(const std::vector<float> results, constant_floats(graph, node.inputs[1]));
  return emit_lut(graph, node, builder, results);
}

}  // namespace enn

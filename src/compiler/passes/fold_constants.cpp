#include <algorithm>

#include "compiler/passes/passes.hpp"
#include "ops/evaluate.hpp"

namespace enn {
namespace {

// Values are what matters about these operators, and they pass on the quantization that came along.
bool only_moves(Op op) {
  return op == Op::Permute || op == Op::Reshape || op == Op::Identity || op == Op::Strided ||
         op == Op::Split;
}

bool is_foldable(const Graph& graph, const Node& node) {
  if (node.op == Op::Fill) return true;  // an operand gives the shape alone
  if (node.attrs.boolean("train") || !is_evaluable(graph, node)) return false;
  const bool constant = std::ranges::all_of(node.inputs, [&](ValueId input) {
    return input == kNone || graph.value(input).is_constant();
  });
  if (!constant || only_moves(node.op)) return constant;
  // Arithmetic on what carries its quantization itself is the engine's.
  const auto plain = [&](ValueId id) { return id == kNone || !graph.value(id).quant; };
  const bool quantizes = node.op == Op::Quantize || node.op == Op::Dequantize;
  return quantizes
             ? node.op == Op::Dequantize || plain(node.inputs[0])
             : std::ranges::all_of(node.inputs, plain) && std::ranges::all_of(node.outputs, plain);
}

Status fold(Graph& graph, bool dequantizes) {
  for (const NodeId id : graph.order()) {
    const Node node = graph.node(id);
    if ((node.op == Op::Dequantize && !dequantizes) || !is_foldable(graph, node)) continue;
    ENN_ASSIGN(const std::vector<ConstantData> results, evaluate(graph, node));
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Value result = graph.value(node.outputs[i]);
      const ValueId constant = graph.add_constant(result.name + ".folded", result.type, results[i]);
      graph.value(constant).quant = result.quant;
      graph.replace_uses(node.outputs[i], constant);
    }
    graph.erase_node(id);
  }
  return {};
}

}  // namespace

Status fold_constants(Graph& graph) { return fold(graph, false); }

Status fold_dequantized_constants(Graph& graph) { return fold(graph, true); }

}  // namespace enn

#include "ops/steep.hpp"

#include <algorithm>

#include "ops/ops.hpp"

namespace enn {

bool is_steep(Op op, std::size_t operand) {
  switch (op) {
    case Op::Sin:
    case Op::Cos:
    case Op::Tan:
    case Op::Log:
    case Op::Log2:
    case Op::Log10:
    case Op::Asin:
    case Op::Acos:
    case Op::Acosh:
    case Op::Atanh:
    case Op::Reciprocal:
    case Op::Rsqrt:
      return true;
    case Op::Div:
    case Op::FloorDivide:
    case Op::TruncDivide:
    case Op::Remainder:
    case Op::Fmod:
    case Op::GridSample:
      return operand == 1;
    default:
      return false;
  }
}

bool passes_steepness(const Graph& graph, const Node& node) {
  const std::string_view name = family(node.op);
  return name == "unary" || name == "binary" || name == "where" || name == "convert" ||
         node.op == Op::MatMul || moves_elements(graph, node);
}

std::vector<bool> values_read_steeply(const Graph& graph) {
  std::vector<bool> steep(graph.value_count(), true);
  std::vector<bool> read(graph.value_count(), false);
  for (const ValueId id : graph.outputs()) steep[id] = false;
  const std::vector<NodeId> order = graph.order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const Node& node = graph.node(*id);
    const bool passes =
        passes_steepness(graph, node) && std::ranges::all_of(node.outputs, [&](ValueId output) {
          return steep[output] && read[output];
        });
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId input = node.inputs[i];
      if (input == kNone) continue;
      read[input] = true;
      steep[input] = steep[input] && (passes || is_steep(node.op, i));
    }
  }
  for (std::size_t i = 0; i < steep.size(); ++i) steep[i] = steep[i] && read[i];
  return steep;
}

}  // namespace enn

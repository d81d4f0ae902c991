#include "ops/common.hpp"

namespace enn {

Result<std::vector<TensorType>> infer_linear(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3 && !has_residual(node))
    return error(Code::InvalidGraph, "expected input, weight and bias");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  if (weight.size() != 2 || input.shape.empty() || input.shape.back() != weight[1]) {
    return error(Code::InvalidGraph, "input ", list_str(input.shape), " and weight ",
                 list_str(weight), " do not fit together");
  }
  if (node.inputs[2] != kNone) {
    const Shape& bias = graph.value(node.inputs[2]).type.shape;
    if (bias != Shape{weight[0]}) {
      return error(Code::InvalidGraph, "bias ", list_str(bias), " does not fit weight ",
                   list_str(weight));
    }
  }
  Shape out = input.shape;
  out.back() = weight[0];
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

}  // namespace enn

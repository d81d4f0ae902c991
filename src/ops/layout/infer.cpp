#include <algorithm>

#include "ops/common.hpp"

namespace enn {
namespace {

using Types = std::vector<TensorType>;

Result<Types> infer_concat(const Graph& graph, const Node& node) {
  if (node.inputs.empty()) return error(Code::InvalidGraph, "expected at least one operand");
  TensorType out = graph.value(node.inputs[0]).type;
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  if (dim >= out.shape.size()) return error(Code::InvalidGraph, "dim ", dim, " is out of range");
  out.shape[dim] = 0;
  for (const ValueId id : node.inputs) {
    Shape shape = graph.value(id).type.shape;
    if (shape.size() != out.shape.size())
      return error(Code::InvalidGraph, "operands differ in rank");
    const std::int64_t extent = shape[dim];
    shape[dim] = out.shape[dim];
    if (shape != out.shape) return error(Code::InvalidGraph, "operands differ outside dim ", dim);
    out.shape[dim] += extent;
  }
  return Types{std::move(out)};
}

}  // namespace

Result<Types> infer_layout(const Graph& graph, const Node& node) {
  if (node.op == Op::Concat) return infer_concat(graph, node);
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  if (node.op == Op::Identity) {
    const auto dtype = dtype_from_string(node.attrs.text("dtype", to_string(input.dtype)));
    if (!dtype) return error(Code::InvalidGraph, "attribute dtype is not a dtype");
    return Types{{*dtype, input.shape}};
  }
  if (node.op == Op::Reshape) {
    Shape shape = node.attrs.integers("shape");
    if (numel(shape) != numel(input.shape)) {
      return error(Code::InvalidGraph, list_str(input.shape), " cannot be viewed as ",
                   list_str(shape));
    }
    return Types{{input.dtype, std::move(shape)}};
  }
  const std::vector<std::int64_t> dims = node.attrs.integers("dims");
  std::vector<std::int64_t> sorted = dims;
  std::sort(sorted.begin(), sorted.end());
  Shape shape;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims.size() != input.shape.size() || sorted[i] != static_cast<std::int64_t>(i)) {
      return error(Code::InvalidGraph, "dims ", list_str(dims), " are no permutation for ",
                   list_str(input.shape));
    }
    shape.push_back(input.shape[static_cast<std::size_t>(dims[i])]);
  }
  return Types{{input.dtype, std::move(shape)}};
}

}  // namespace enn

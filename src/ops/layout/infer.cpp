#include <algorithm>

#include "ops/common.hpp"

namespace enn {
namespace {

using Types = std::vector<TensorType>;

// An operand of shape [0] joins with any other.
bool is_placeholder(const Shape& shape) { return shape == Shape{0}; }

Result<Types> infer_concat(const Graph& graph, const Node& node) {
  if (node.inputs.empty()) return error(Code::InvalidGraph, "expected at least one operand");
  TensorType out = graph.value(node.inputs[0]).type;
  for (const ValueId id : node.inputs) {
    if (is_placeholder(out.shape)) out.shape = graph.value(id).type.shape;
  }
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  if (dim >= out.shape.size()) return error(Code::InvalidGraph, "dim ", dim, " is out of range");
  const std::size_t rank = out.shape.size();
  out.shape[dim] = 0;
  for (const ValueId id : node.inputs) {
    Shape shape = graph.value(id).type.shape;
    if (is_placeholder(shape) && rank != 1) continue;
    if (shape.size() != out.shape.size())
      return error(Code::InvalidGraph, "operands differ in rank");
    const std::int64_t extent = shape[dim];
    shape[dim] = out.shape[dim];
    if (shape != out.shape) return error(Code::InvalidGraph, "operands differ outside dim ", dim);
    out.shape[dim] += extent;
  }
  return Types{std::move(out)};
}

Result<Types> infer_stack(const Graph& graph, const Node& node) {
  if (node.inputs.empty()) return error(Code::InvalidGraph, "expected at least one operand");
  TensorType out = graph.value(node.inputs[0]).type;
  const std::int64_t dim = node.attrs.integer("dim");
  if (dim < 0 || dim > static_cast<std::int64_t>(out.shape.size()))
    return error(Code::InvalidGraph, "dim ", dim, " is out of range");
  for (const ValueId id : node.inputs) {
    if (graph.value(id).type.shape != out.shape)
      return error(Code::InvalidGraph, "operands differ in shape");
  }
  out.shape.insert(out.shape.begin() + static_cast<std::ptrdiff_t>(dim),
                   static_cast<std::int64_t>(node.inputs.size()));
  return Types{std::move(out)};
}

}  // namespace

Result<Types> infer_layout(const Graph& graph, const Node& node) {
  if (node.op == Op::Concat) return infer_concat(graph, node);
  if (node.op == Op::Stack) return infer_stack(graph, node);
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

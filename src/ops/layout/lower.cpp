#include <algorithm>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

// Dimensions of extent 1 have no place in memory: true when the others keep their order.
bool is_view(const Shape& shape, const std::vector<std::uint32_t>& perm) {
  std::vector<std::uint32_t> moved;
  std::copy_if(perm.begin(), perm.end(), std::back_inserter(moved),
               [&](std::uint32_t dim) { return shape[dim] != 1; });
  return std::is_sorted(moved.begin(), moved.end());
}

Status lower_permutation(const Graph& graph, const Node& node, ProgramBuilder& builder,
                         std::vector<std::uint32_t> perm) {
  if (is_view(physical_shape(graph.value(node.inputs[0])), perm)) {
    builder.alias(node.outputs[0], node.inputs[0]);
    return {};
  }
  program::TransposeT op;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.perm = std::move(perm);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace

Status lower_layout(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  switch (node.op) {
    case Op::Reshape:
      builder.alias(node.outputs[0], node.inputs[0]);
      return {};
    case Op::Identity:
      return lower_permutation(graph, node, builder, layout_permutation(input, output));
    case Op::Permute: {
      const std::vector<std::int64_t> dims = node.attrs.integers("dims");
      std::vector<std::uint32_t> perm(dims.size());
      for (std::size_t d = 0; d < dims.size(); ++d) {
        perm[physical_dim(output, static_cast<std::int64_t>(d))] = physical_dim(input, dims[d]);
      }
      return lower_permutation(graph, node, builder, std::move(perm));
    }
    default:
      break;
  }
  program::ConcatT op;
  if (node.op == Op::Stack) {
    const std::int64_t dim = node.attrs.integer("dim");
    Shape shape = input.type.shape;
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(dim), 1);
    for (const ValueId id : node.inputs) op.inputs.push_back(builder.read_as(id, shape));
    op.output = builder.write(node.outputs[0]);
    op.axis = static_cast<std::uint32_t>(dim);
    builder.emit(node, std::move(op));
    return {};
  }
  for (const ValueId id : node.inputs) {
    if (numel(graph.value(id).type.shape) > 0) op.inputs.push_back(builder.read(id));
  }
  op.output = builder.write(node.outputs[0]);
  op.axis = physical_dim(output, node.attrs.integer("dim"));
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

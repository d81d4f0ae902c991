// Linear: operands input [..., in], weight [out, in], bias [out] or none.
#include "ops/common.hpp"

namespace enn {

Result<NodeId> import_linear(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId weight, args.tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  return NodeId{add_call(graph, call, op, {input, weight, bias})};
}

// addmm(bias, input, weight transposed) with alpha = beta = 1 is linear.
Result<NodeId> import_addmm(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId bias, args.tensor("self"));
  ENN_ASSIGN(const ValueId input, args.tensor("mat1"));
  ENN_ASSIGN(const ValueId matrix, args.tensor("mat2"));
  ENN_ASSIGN(const double alpha, args.number("alpha", 1.0));
  ENN_ASSIGN(const double beta, args.number("beta", 1.0));
  const TensorType& type = graph.value(matrix).type;
  if (type.shape.size() != 2) {
    return error(Code::InvalidArgument, "node '", call.name, "': mat2 must be a matrix");
  }
  Attributes dims;
  dims.set("dims", std::vector<std::int64_t>{1, 0});
  const NodeId transpose =
      graph.add_node(Op::Permute, call.name + ".weight", {matrix},
                     {TensorType{type.dtype, {type.shape[1], type.shape[0]}}}, std::move(dims));
  Attributes attrs;
  if (alpha != 1.0) attrs.set("alpha", alpha);
  if (beta != 1.0) attrs.set("beta", beta);
  const ValueId weight = graph.node(transpose).outputs.front();
  return NodeId{add_call(graph, call, op, {input, weight, bias}, std::move(attrs))};
}

}  // namespace enn

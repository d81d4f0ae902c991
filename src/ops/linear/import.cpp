// Linear: operands input [..., in], weight [out, in], bias [out] or none.
#include "ops/common.hpp"
#include "ops/matmul/matmul.hpp"

namespace enn {

Result<NodeId> import_linear(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId weight, args.tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  const bool constant_bias = bias == kNone || is_constant_expression(graph, bias);
  if (is_constant_expression(graph, weight) || !constant_bias ||
      graph.value(weight).type.shape.size() != 2) {
    return NodeId{add_call(graph, call, op, {input, weight, bias})};
  }
  Attributes attrs;
  attrs.set("transpose_b", true);
  std::vector<ValueId> operands{input, weight};
  if (bias != kNone) operands.push_back(bias);
  return NodeId{add_call(graph, call, Op::MatMul, std::move(operands), std::move(attrs))};
}

// addmm(bias, input, weight transposed) with alpha = beta = 1 is linear; any other is a product and
// a sum.
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
  const Node* producer = graph.producer(matrix);
  const bool transposed = producer != nullptr && producer->op == Op::Permute;
  const bool bias_fits = graph.value(bias).type.shape == Shape{type.shape[1]} &&
                         is_constant_expression(graph, bias) && alpha == 1.0 && beta == 1.0;
  if (!bias_fits) return import_product_and_sum(graph, call, "mat1", "mat2");
  if (!transposed || !is_constant_expression(graph, matrix)) {
    return NodeId{add_call(graph, call, Op::MatMul, {input, matrix, bias})};
  }
  Attributes dims = internal_attributes();
  dims.set("dims", std::vector<std::int64_t>{1, 0});
  const ValueId weight =
      internal_value(graph, Op::Permute, call.name + ".weight", {matrix},
                     {type.dtype, {type.shape[1], type.shape[0]}}, std::move(dims));
  return NodeId{add_call(graph, call, op, {input, weight, bias})};
}

}  // namespace enn

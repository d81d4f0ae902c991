// Quantize, Dequantize. Operands: the tensor; per channel also scales and zero points (constants).
// Attributes: per tensor scale and zero_point, per channel axis; quant_min, quant_max; dtype of the
// result.
#include "ops/common.hpp"

namespace enn {
namespace {

Result<NodeId> import_qdq(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const std::int64_t quant_min, args.integer("quant_min"));
  ENN_ASSIGN(const std::int64_t quant_max, args.integer("quant_max"));
  std::vector<ValueId> inputs{input};
  Attributes attrs;
  if (args.has("scales")) {
    ENN_ASSIGN(const ValueId scales, args.tensor("scales"));
    ENN_ASSIGN(const ValueId zero_points, args.optional_tensor("zero_points"));
    ENN_ASSIGN(std::int64_t axis, args.integer("axis"));
    ENN_ASSIGN(axis, normalized_dim(axis, graph.value(input).type.shape.size()));
    inputs.insert(inputs.end(), {scales, zero_points});
    attrs.set("axis", axis);
  } else {
    ENN_ASSIGN(const double scale, args.number("scale"));
    ENN_ASSIGN(const std::int64_t zero_point, args.integer("zero_point"));
    attrs.set("scale", scale);
    attrs.set("zero_point", zero_point);
  }
  attrs.set("quant_min", quant_min);
  attrs.set("quant_max", quant_max);
  attrs.set("dtype", std::string(to_string(call.results.front().dtype)));
  return NodeId{add_call(graph, call, op, std::move(inputs), std::move(attrs))};
}

}  // namespace

Result<NodeId> import_quantize(Graph& graph, const Call& call, Op op) {
  return import_qdq(graph, call, op);
}

Result<NodeId> import_dequantize(Graph& graph, const Call& call, Op op) {
  return import_qdq(graph, call, op);
}

}  // namespace enn

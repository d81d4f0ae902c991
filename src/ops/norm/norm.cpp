// BatchNorm: operands input [N, C, ...], weight, bias, mean, variance [C] (weight and bias may be
// none). Attributes eps; training when the statistics are the input's own. The compiler rewrites it
// (fold_batch_norm), or computes it where it standardizes a weight; it has no kernel of its own.
#include <array>

#include "ops/common.hpp"
#include "ops/evaluate.hpp"
#include "ops/fusion.hpp"

namespace enn {

Result<NodeId> import_batch_norm(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId weight, args.optional_tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  ENN_ASSIGN(const ValueId mean, args.optional_tensor("running_mean"));
  ENN_ASSIGN(const ValueId variance, args.optional_tensor("running_var"));
  ENN_ASSIGN(const double eps, args.number("eps"));
  ENN_ASSIGN(const bool training, args.boolean("training", false));
  Attributes attrs;
  attrs.set("eps", eps);
  if (training || mean == kNone || variance == kNone) attrs.set("training", true);
  return NodeId{add_call(graph, call, op, {input, weight, bias, mean, variance}, std::move(attrs))};
}

// Salimans and Kingma, "Weight Normalization": v * (g / |v|), the norm over all dimensions but dim;
// over all of them when dim is -1.
Result<NodeId> import_weight_norm(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId direction, args.tensor("v"));
  ENN_ASSIGN(const ValueId length, args.tensor("g"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim", 0));
  const TensorType type = graph.value(direction).type;
  const bool whole = dim == -1;
  if (!whole) {
    ENN_ASSIGN(dim, normalized_dim(dim, type.shape.size()));
  }
  TensorType reduced = type;
  std::vector<std::int64_t> dims;
  for (std::size_t d = 0; d < type.shape.size(); ++d) {
    if (static_cast<std::int64_t>(d) == dim) continue;
    dims.push_back(static_cast<std::int64_t>(d));
    reduced.shape[d] = 1;
  }
  if (whole) reduced.shape.clear();
  Attributes two = internal_attributes();
  two.set("alpha", 2.0);
  Attributes all_but_dim = internal_attributes();
  all_but_dim.set("dims", std::move(dims));
  all_but_dim.set("keepdim", !whole);
  const ValueId squares = internal_value(graph, Op::PowScalar, call.name + ".squares", {direction},
                                         type, std::move(two));
  const ValueId sum = internal_value(graph, Op::Sum, call.name + ".sum", {squares}, reduced,
                                     std::move(all_but_dim));
  const ValueId norm = internal_value(graph, Op::Sqrt, call.name + ".norm", {sum}, reduced);
  const ValueId scale = internal_value(graph, Op::Div, call.name + ".scale", {length, norm},
                                       graph.value(length).type);
  return NodeId{add_call(graph, call, op, {direction, scale})};
}

Result<std::vector<TensorType>> infer_norm(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 5) {
    return error(Code::InvalidGraph, "expected input, weight, bias, mean and variance");
  }
  const TensorType& input = graph.value(node.inputs[0]).type;
  if (input.shape.size() < 2)
    return error(Code::InvalidGraph, "input ", list_str(input.shape), " has no channels");
  for (std::size_t i = 1; i < 5; ++i) {
    if (node.inputs[i] != kNone &&
        graph.value(node.inputs[i]).type.shape != Shape{input.shape[1]}) {
      return error(Code::InvalidGraph, "operand ", i, " does not have one element per channel of ",
                   list_str(input.shape));
    }
  }
  // The overload with saved statistics returns them empty in inference.
  const std::int64_t saved = node.attrs.boolean("training") ? input.shape[1] : 0;
  std::vector<TensorType> types{input};
  while (types.size() < node.outputs.size()) types.push_back({input.dtype, {saved}});
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_norm(const Graph& graph, const Node& node) {
  const bool standardizes =
      is_evaluable(graph, node) && is_constant_expression(graph, node.inputs[0]);
  if (node.attrs.boolean("training") && !standardizes)
    return "batch norm with batch statistics (training mode) is not taken";
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  for (std::size_t i = 1; i < 5; ++i) {
    if (node.inputs[i] != kNone && !is_constant_expression(graph, node.inputs[i])) {
      return "its statistics or parameters are computed at run time";
    }
  }
  return std::nullopt;
}

void annotate_norm(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  // Training ends before the model is converted.
  if (graph.node(node).attrs.boolean("training") && !config.is_qat) return;
  const NodeId producer = graph.value(graph.node(node).inputs[0]).producer;
  if (producer != kNone && !config.is_qat && is_scaled_by_reader(graph, producer))
    return annotate_output(graph, node, {}, config, annotations);
  annotate_first(graph, node, config, annotations);
}

Traits traits_norm(const Graph&, const Node&) { return {LayoutRule::Same, QuantizedForm::None}; }

Status lower_norm(const Graph&, const Node& node, ProgramBuilder&) {
  return error(Code::Internal, "node '", node.name, "': batch norm was not folded");
}

}  // namespace enn

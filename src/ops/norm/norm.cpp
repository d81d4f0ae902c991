// BatchNorm in inference: operands input [N, C, ...], weight, bias, mean, variance [C] (weight and
// bias may be none). Attribute eps. The compiler rewrites it (fold_batch_norm); it has no kernel of
// its own.
#include <array>

#include "ops/common.hpp"
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
  std::vector<TensorType> types{input};
  while (types.size() < node.outputs.size()) types.push_back({input.dtype, {0}});
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_norm(const Graph& graph, const Node& node) {
  if (node.attrs.boolean("training"))
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

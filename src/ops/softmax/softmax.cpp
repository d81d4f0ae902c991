// Softmax and LogSoftmax. Attributes: dim (counted from the front), safe (rows of -inf give 0).
#include <algorithm>
#include <array>

#include "ops/common.hpp"
#include "ops/masks.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

Result<NodeId> import_along_dim(Graph& graph, const Call& call, Op op, bool safe) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(std::int64_t dim, args.integer("dim"));
  ENN_ASSIGN(dim, normalized_dim(dim, graph.value(input).type.shape.size()));
  Attributes attrs;
  attrs.set("dim", dim);
  if (safe) attrs.set("safe", true);
  // A conversion (dtype, half_to_float) is declared by the result.
  if (call.results.front().dtype != graph.value(input).type.dtype) {
    attrs.set("dtype", std::string(to_string(call.results.front().dtype)));
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

// The values that go into a product, moved or not, as the weights of an attention do. The weights
// of n keys are about 1 / n: steps of 1/256 would not tell them apart.
struct Factors {
  explicit Factors(const Graph& graph) : is_factor(graph.value_count(), false) {
    const std::vector<NodeId> order = graph.order();
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const Node& node = graph.node(*id);
      const bool multiplies =
          node.op == Op::MatMul || (moves_elements(graph, node) && is_factor[node.outputs[0]]);
      if (!multiplies) continue;
      for (const ValueId input : node.inputs) {
        if (input != kNone) is_factor[input] = true;
      }
    }
  }

  std::vector<bool> is_factor;  // by value
};

}  // namespace

Result<NodeId> import_softmax(Graph& graph, const Call& call, Op op) {
  return import_along_dim(graph, call, op, false);
}

Result<NodeId> import_safe_softmax(Graph& graph, const Call& call, Op op) {
  return import_along_dim(graph, call, op, true);
}

Result<std::vector<TensorType>> infer_softmax(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  TensorType type = graph.value(node.inputs[0]).type;
  if (node.attrs.has("dtype")) type.dtype = graph.value(node.outputs[0]).type.dtype;
  return std::vector<TensorType>{std::move(type)};
}

std::optional<std::string> support_softmax(const Graph& graph, const Node& node) {
  if (numel(graph.value(node.outputs[0]).type.shape) == 0) return "its result is empty";
  return dtype_reason(graph, node, std::array{DType::Float32});
}

void annotate_softmax(const Graph& graph, NodeId node, const QuantizationConfig& config,
                      Annotations& annotations) {
  const ValueId input = graph.node(node).inputs.front();
  if (!is_float_value(graph, input)) return;
  Annotation annotation;
  if (!holds_masks(graph, input)) annotation.inputs.emplace_back(input, config.activation);
  if (graph.node(node).op == Op::LogSoftmax) {
    // Probabilities near 1 and those of a thousand equal classes differ by less than a step of a
    // range that reaches from log(0): the result, a model's last as a rule, stays float.
    return annotations.set(node, std::move(annotation));
  }
  annotation.output = graph.analysis<Factors>()->is_factor[graph.node(node).outputs.front()]
                          ? Spec(config.activation)
                          : Spec(unit_interval_spec(config));
  annotations.set(node, std::move(annotation));
}

Traits traits_softmax(const Graph&, const Node&) {
  return {LayoutRule::Same, QuantizedForm::Computes};
}

Status lower_softmax(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  program::SoftmaxT op;
  if (input.type.shape.empty()) {
    op.input = builder.read_as(node.inputs[0], {1});
    op.output = builder.write_as(node.outputs[0], {1});
  } else {
    op.input = builder.read(node.inputs[0]);
    op.output = builder.write(node.outputs[0]);
    op.axis = physical_dim(input, node.attrs.integer("dim"));
  }
  op.log = node.op == Op::LogSoftmax;
  op.safe = node.attrs.boolean("safe");
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

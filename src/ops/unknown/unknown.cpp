// Operators outside ops.def: they keep the graph connected and are left to others.
#include "ops/common.hpp"

namespace enn {
namespace {

// The first operand, else the first result, that `is`; kNone without one.
template <typename Is>
ValueId first_value(const Graph& graph, const Node& node, const Is& is) {
  for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      if (id != kNone && is(graph.value(id).type)) return id;
    }
  }
  return kNone;
}

ValueId dynamic_value(const Graph& graph, const Node& node) {
  return first_value(graph, node,
                     [](const TensorType& type) { return dynamic_dim(type.shape) >= 0; });
}

// Names where the size comes from, so that all nodes behind it have one reason.
std::optional<std::string> dynamic_reason(const Graph& graph, const Node& node) {
  constexpr const char* kOnlyKnown =
      "; the engine takes sizes that follow from those of the inputs";
  const Node* at = &node;
  ValueId source = dynamic_value(graph, *at);
  while (source != kNone) {
    const Node* producer = graph.producer(source);
    if (producer == nullptr) {
      return str("it depends on dimension ", dynamic_dim(graph.value(source).type.shape), " of '",
                 graph.value(source).name, "'", kOnlyKnown);
    }
    if (producer == at) break;
    at = producer;
    source = dynamic_value(graph, *at);
  }
  if (const std::string number = at->attrs.text(kDependsOn); !number.empty())
    return str("it depends on '", number, "', which is computed from values", kOnlyKnown);
  if (source == kNone) return std::nullopt;
  return str("the size of '", graph.value(source).name, "' depends on values", kOnlyKnown);
}

}  // namespace

std::optional<LeftToOthers> left_to_others(const Graph& graph, const Node& node) {
  if (auto reason = dynamic_reason(graph, node)) {
    return LeftToOthers{*std::move(reason),
                        "export the model for one size, without dynamic_shapes"};
  }
  const ValueId unknown =
      first_value(graph, node, [](const TensorType& type) { return !is_known(type.dtype); });
  if (unknown == kNone) return std::nullopt;
  const Value& value = graph.value(unknown);
  return LeftToOthers{str("'", value.name, "' is ", to_string(value.type.dtype),
                          ", which this engine does not know"),
                      "compute it in float32"};
}

Result<std::vector<TensorType>> infer_unknown(const Graph& graph, const Node& node) {
  std::vector<TensorType> types;
  for (const ValueId id : node.outputs) types.push_back(graph.value(id).type);
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_unknown(const Graph& graph, const Node& node) {
  if (is_size(node)) return std::nullopt;
  if (auto left = left_to_others(graph, node)) return std::move(left->reason);
  return str("the operator ", node.target, " is not among those of the engine");
}

void annotate_unknown(const Graph&, NodeId, const QuantizationConfig&, Annotations&) {}

Traits traits_unknown(const Graph&, const Node&) {
  return {LayoutRule::Contiguous, QuantizedForm::None};
}

Status lower_unknown(const Graph&, const Node& node, ProgramBuilder&) {
  return error(Code::Unsupported, "node '", node.name, "': the operator ", node.target,
               " is not among those of the engine");
}

}  // namespace enn

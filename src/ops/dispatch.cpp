// From ops.def to the functions of the families.
#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "ops/common.hpp"
#include "ops/decompositions/decompositions.hpp"
#include "ops/import.hpp"
#include "ops/ops.hpp"

namespace enn {

#define ENN_ATEN(target, op, import) \
  Result<NodeId> import_##import(Graph& graph, const Call& call, Op canonical);
#define ENN_OP(name, text, family)                                                          \
  Result<std::vector<TensorType>> infer_##family(const Graph& graph, const Node& node);     \
  std::optional<std::string> support_##family(const Graph& graph, const Node& node);        \
  void annotate_##family(const Graph& graph, NodeId node, const QuantizationConfig& config, \
                         Annotations& annotations);                                         \
  Traits traits_##family(const Graph& graph, const Node& node);                             \
  Status lower_##family(const Graph& graph, const Node& node, ProgramBuilder& builder);
#include "ops/ops.def"
#undef ENN_ATEN
#undef ENN_OP

namespace {

struct FamilyRow {
  std::string_view name;
  decltype(&infer_conv) infer;
  decltype(&support_conv) support;
  decltype(&annotate_conv) annotate;
  decltype(&traits_conv) traits;
  decltype(&lower_conv) lower;
};

constexpr auto kFamilies = std::to_array<FamilyRow>({
#define ENN_ATEN(target, op, import)
#define ENN_OP(name, text, family)                                           \
  {#family,          &infer_##family, &support_##family, &annotate_##family, \
   &traits_##family, &lower_##family},
#include "ops/ops.def"
#undef ENN_ATEN
#undef ENN_OP
});

const FamilyRow& row(Op op) { return kFamilies[static_cast<std::size_t>(op)]; }

struct AtenRow {
  std::string_view target;
  Op op;
  decltype(&import_convolution) import;
};

constexpr auto kAtenRows = std::to_array<AtenRow>({
#define ENN_ATEN(target, op, import) {target, Op::op, &import_##import},
#define ENN_OP(name, text, family)
#include "ops/ops.def"
#undef ENN_ATEN
#undef ENN_OP
});

}  // namespace

bool is_left_to_others(const Graph& graph, const Call& call) {
  const auto left = [](const TensorType& type) {
    return dynamic_dim(type.shape) >= 0 || !is_known(type.dtype);
  };
  const auto left_operand = [&](const TensorArgument& tensor) {
    return tensor.id != kNone && left(graph.value(tensor.id).type);
  };
  for (const auto& [name, argument] : call.arguments) {
    if (std::holds_alternative<SymbolArgument>(argument)) return true;
    if (const auto* tensor = std::get_if<TensorArgument>(&argument);
        tensor && left_operand(*tensor))
      return true;
    const auto* list = std::get_if<std::vector<TensorArgument>>(&argument);
    if (list != nullptr && std::ranges::any_of(*list, left_operand)) return true;
  }
  return std::ranges::any_of(call.results, left);
}

namespace {

void note_unread_operands(Graph& graph, const Call& call, NodeId node, NodeId first) {
  std::set<ValueId> read;
  for (NodeId id = first; id < static_cast<NodeId>(graph.node_count()); ++id) {
    read.insert(graph.node(id).inputs.begin(), graph.node(id).inputs.end());
  }
  std::vector<std::int64_t> unread;
  const auto note = [&](ValueId value) {
    if (value != kNone && read.insert(value).second) unread.push_back(value);
  };
  for (const auto& [name, argument] : call.arguments) {
    if (const auto* tensor = std::get_if<TensorArgument>(&argument)) note(tensor->id);
    if (const auto* list = std::get_if<std::vector<TensorArgument>>(&argument)) {
      std::ranges::for_each(*list, note, &TensorArgument::id);
    }
    if (const auto* symbol = std::get_if<SymbolArgument>(&argument)) {
      std::ranges::for_each(symbol->sources, note);
    }
  }
  std::ranges::for_each(call.after, note);
  if (!unread.empty()) graph.node(node).attrs.set(kUnreadOperands, std::move(unread));
}

constexpr const char* kSizeTarget = "size";

}  // namespace

NodeId add_size(Graph& graph, std::string name, const std::vector<ValueId>& sources) {
  const NodeId id =
      graph.add_node(Op::Unknown, std::move(name), {}, {TensorType{DType::Int64, {}}}, {});
  graph.node(id).target = kSizeTarget;
  graph.node(id).attrs.set("internal", true);  // is_internal: nothing is decided about it
  graph.node(id).attrs.set(kUnreadOperands,
                           std::vector<std::int64_t>(sources.begin(), sources.end()));
  return id;
}

bool is_size(const Node& node) { return node.op == Op::Unknown && node.target == kSizeTarget; }

std::vector<OverloadInfo> overloads() {
  std::vector<OverloadInfo> out;
  for (const AtenRow& aten : kAtenRows) out.push_back({aten.target, aten.op});
  return out;
}

NodeId import_uninterpreted(Graph& graph, const Call& call) {
  std::vector<ValueId> inputs;
  std::vector<std::int64_t> counts;
  Attributes attrs;
  for (const auto& [name, argument] : call.arguments) {
    const std::size_t before = inputs.size();
    const auto literal = [&](const auto& value) {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, TensorArgument>) {
        inputs.push_back(value.id);
      } else if constexpr (std::is_same_v<T, std::vector<TensorArgument>>) {
        for (const TensorArgument& item : value) inputs.push_back(item.id);
      } else if constexpr (std::is_same_v<T, SymbolArgument>) {
        attrs.set(kDependsOn, value.name);
      } else if constexpr (!std::is_same_v<T, std::monostate>) {
        attrs.set(name, value);
      }
    };
    std::visit(literal, argument);
    counts.push_back(static_cast<std::int64_t>(inputs.size() - before));
  }
  attrs.set(kTensorsOfArguments, std::move(counts));
  const NodeId id =
      graph.add_node(Op::Unknown, call.name, std::move(inputs), call.results, std::move(attrs));
  graph.node(id).target = call.target;
  graph.node(id).origin = call.origin;
  return id;
}

// The steps of a composite with one result as nodes, of which the last stands for the call and the
// others are internal; the call as it is where it cannot be decomposed.
Result<NodeId> import_composite(Graph& graph, const Call& call) {
  ENN_ASSIGN(auto decomposition, decompose(graph, call));
  if (!decomposition || decomposition->results.size() != 1)
    return import_uninterpreted(graph, call);
  std::vector<ValueId> made;
  const auto resolve = [&](TensorArgument& tensor) {
    if (tensor.id >= kMadeTensor && tensor.id != kNone) tensor.id = made[tensor.id - kMadeTensor];
  };
  std::vector<NodeId> nodes;
  for (DecompositionStep& step : decomposition->steps) {
    const std::string name = str(call.name, '.', step.call.name, '_', made.size());
    if (step.data != nullptr) {
      made.push_back(graph.add_constant(name, step.type(), std::move(step.data)));
      continue;
    }
    for (auto& [argument_name, argument] : step.call.arguments) {
      if (auto* tensor = std::get_if<TensorArgument>(&argument)) resolve(*tensor);
      if (auto* list = std::get_if<std::vector<TensorArgument>>(&argument))
        std::ranges::for_each(*list, resolve);
    }
    step.call.name = name;
    const auto first = static_cast<NodeId>(graph.node_count());
    ENN_ASSIGN(const NodeId id, import_call(graph, step.call));
    for (NodeId node = first; node <= id; ++node) nodes.push_back(node);
    made.push_back(graph.node(id).outputs.front());
  }
  TensorArgument result{decomposition->results.front()};
  resolve(result);
  // Eye and other constants are read by a node, which stands for the call.
  if (graph.producer(result.id) == nullptr || graph.value(result.id).producer != nodes.back()) {
    Call clone{"aten.clone.default", call.name, {{"self", result}}, call.results, call.origin};
    ENN_ASSIGN(const NodeId id, import_call(graph, clone));
    nodes.push_back(id);
  }
  for (const NodeId id : nodes) {
    if (id != nodes.back()) graph.node(id).attrs.set("internal", true);
  }
  Node& last = graph.node(nodes.back());
  last.name = call.name;
  last.target = call.target;
  graph.value(last.outputs.front()).name = call.name;
  return NodeId{nodes.back()};
}

Result<NodeId> import_call(Graph& graph, const Call& call) {
  static const auto* const rows = [] {
    auto* map = new std::unordered_map<std::string_view, const AtenRow*>;
    for (const AtenRow& aten : kAtenRows) map->emplace(aten.target, &aten);
    return map;
  }();
  if (call.results.empty()) {
    return error(Code::InvalidArgument, "node '", call.name, "' (", call.target,
                 ") has no tensor result");
  }
  const auto first = static_cast<NodeId>(graph.node_count());
  NodeId node = kNone;
  if (const auto found = rows->find(call.target);
      found != rows->end() && !is_left_to_others(graph, call)) {
    ENN_ASSIGN(node, found->second->import(graph, call, found->second->op));
  } else if (found == rows->end() && is_composite(call.target) && !is_left_to_others(graph, call)) {
    ENN_ASSIGN(node, import_composite(graph, call));
  } else {
    node = import_uninterpreted(graph, call);
  }
  if (node >= first) note_unread_operands(graph, call, node, first);
  return NodeId{node};
}

std::string_view family(Op op) { return row(op).name; }

Result<std::vector<TensorType>> infer(const Graph& graph, const Node& node) {
  return row(node.op).infer(graph, node);
}

std::optional<std::string> unsupported_reason(const Graph& graph, const Node& node) {
  return row(node.op).support(graph, node);
}

void annotate(const Graph& graph, NodeId node, const QuantizationConfig& config,
              Annotations& annotations) {
  row(graph.node(node).op).annotate(graph, node, config, annotations);
}

Traits traits(const Graph& graph, const Node& node) { return row(node.op).traits(graph, node); }

Status lower(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  return row(node.op).lower(graph, node, builder);
}

}  // namespace enn

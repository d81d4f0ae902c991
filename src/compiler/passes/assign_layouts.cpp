#include <algorithm>
#include <map>

#include "compiler/passes/passes.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

class LayoutAssigner {
 public:
  explicit LayoutAssigner(Graph& graph) : graph_(graph) { find_images(); }

  Status run() {
    for (const NodeId id : graph_.order()) assign(id);
    std::vector<ValueId> outputs = graph_.outputs();
    for (ValueId& output : outputs) output = converted(output, Layout::Contiguous, kNone);
    graph_.set_outputs(std::move(outputs));
    return {};
  }

 private:
  [[nodiscard]] std::size_t rank(ValueId id) const { return graph_.value(id).type.shape.size(); }

  void assign(NodeId id) {
    const LayoutRule rule = traits(graph_, graph_.node(id)).layout;
    Layout layout = Layout::Contiguous;
    switch (rule) {
      case LayoutRule::ChannelsLast:
        layout = Layout::ChannelsLast;
        break;
      case LayoutRule::Contiguous:
        break;
      case LayoutRule::Same: {
        const std::vector<ValueId>& inputs = graph_.node(id).inputs;
        const bool any = std::any_of(inputs.begin(), inputs.end(), [&](ValueId input) {
          return input != kNone && graph_.value(input).layout == Layout::ChannelsLast;
        });
        if (any) layout = Layout::ChannelsLast;
        break;
      }
      case LayoutRule::Free: {
        const ValueId result = graph_.node(id).outputs[0];
        if (rank(result) == 4 && wants_channels_last_[result]) {
          graph_.value(result).layout = Layout::ChannelsLast;
        }
        return;
      }
    }
    for (std::size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      const ValueId input = graph_.node(id).inputs[i];
      if (input == kNone) continue;
      const Layout wanted = is_weight(graph_.node(id), i) ? Layout::Contiguous : layout;
      const ValueId fitting = wanted == Layout::ChannelsLast ? rank_four(input, id) : input;
      graph_.node(id).inputs[i] = converted(fitting, wanted, id);
    }
    for (const ValueId output : graph_.node(id).outputs) {
      if (rank(output) == 4) graph_.value(output).layout = layout;
    }
  }

  // Weights and other parameters are read in their logical order.
  [[nodiscard]] bool is_weight(const Node& node, std::size_t operand) const {
    if (node.op == Op::Convolution || node.op == Op::Linear)
      return operand > 0 && operand != kResidual;
    return operand >= traits(graph_, node).parameters_from;
  }

  // The values of which a reader works on images, itself or behind operators that take any layout.
  void find_images() {
    const Graph& graph = graph_;
    wants_channels_last_.assign(graph.value_count(), false);
    const std::vector<NodeId> order = graph.order();
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const Node& node = graph.node(*id);
      const LayoutRule rule = traits(graph, node).layout;
      const bool wants =
          rule == LayoutRule::ChannelsLast ||
          (rule == LayoutRule::Same &&
           std::ranges::any_of(
               node.outputs, [&](ValueId output) { return bool{wants_channels_last_[output]}; })) ||
          (is_dequantized_again(graph, node) && wants_channels_last_[node.outputs[0]]);
      if (!wants) continue;
      for (const ValueId input : node.inputs) {
        if (input != kNone) wants_channels_last_[input] = true;
      }
    }
  }

  // Both permute as they go: the integers between them have the layout that is read.
  [[nodiscard]] static bool is_dequantized_again(const Graph& graph, const Node& node) {
    if (node.op != Op::Dequantize) return false;
    const Node* producer = graph.producer(node.inputs[0]);
    return producer != nullptr && producer->op == Op::Quantize;
  }

  // An operand of lower rank broadcasts against images from the right: its rank-4 form has leading
  // ones.
  [[nodiscard]] ValueId rank_four(ValueId id, NodeId before) {
    if (rank(id) == 4 || numel(graph_.value(id).type.shape) == 1 ||
        graph_.node(before).inputs.size() < 2) {
      return id;
    }
    TensorType type = graph_.value(id).type;
    type.shape.insert(type.shape.begin(), 4 - type.shape.size(), 1);
    const std::string name = str(graph_.value(id).name, ".rank4.", graph_.value_count());
    ValueId reshaped = kNone;
    if (graph_.value(id).is_constant()) {
      reshaped = graph_.add_constant(name, type, graph_.value(id).data);
    } else {
      Attributes attrs;
      attrs.set("shape", type.shape);
      const NodeId node =
          graph_.insert_node(before, Op::Reshape, name, {id}, {type}, std::move(attrs));
      reshaped = graph_.node(node).outputs[0];
    }
    graph_.value(reshaped).quant = graph_.value(id).quant;
    return reshaped;
  }

  [[nodiscard]] ValueId converted(ValueId id, Layout layout, NodeId before) {
    if (rank(id) != 4 || graph_.value(id).layout == layout) return id;
    const auto key = std::pair(id, layout);
    if (const auto found = conversions_.find(key); found != conversions_.end())
      return found->second;
    const TensorType type = graph_.value(id).type;
    const std::string name =
        graph_.value(id).name + (layout == Layout::ChannelsLast ? ".channels_last" : ".contiguous");
    ValueId result = kNone;
    if (graph_.value(id).is_constant()) {
      result = graph_.add_constant(name, type, graph_.value(id).data);
    } else {
      const NodeId node = before == kNone
                              ? graph_.add_node(Op::Identity, name, {id}, {type})
                              : graph_.insert_node(before, Op::Identity, name, {id}, {type});
      result = graph_.node(node).outputs[0];
    }
    graph_.value(result).quant = graph_.value(id).quant;
    graph_.value(result).layout = layout;
    conversions_.emplace(key, result);
    return result;
  }

  Graph& graph_;
  std::vector<bool> wants_channels_last_;  // by value of the graph as it was
  std::map<std::pair<ValueId, Layout>, ValueId> conversions_;
};

}  // namespace

Status assign_layouts(Graph& graph) { return LayoutAssigner(graph).run(); }

}  // namespace enn

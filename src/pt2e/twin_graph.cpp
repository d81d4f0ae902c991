#include "pt2e/twin_graph.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/checksum.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

bool quantizes(const Node& node) { return node.op == Op::Quantize || node.op == Op::Dequantize; }

// Layers with weights, and products of matrices: each is the beginning of a layer.
bool begins_layer(const Node& node) {
  return node.op == Op::Convolution || node.op == Op::Linear || node.op == Op::MatMul;
}

class TwinBuilder {
 public:
  TwinBuilder(const Graph& floats, const Graph& quantized, std::span<const NodeId> float_nodes)
      : floats_(floats), quantized_(quantized), order_(floats.order()) {
    twin_.graph = floats;
    twin_.float_nodes = floats.node_count();
    place_.assign(floats.node_count(), 0);
    for (std::size_t i = 0; i < order_.size(); ++i) place_[order_[i]] = i;
    for (const NodeId id : order_) known_[key_of(floats.node(id))].push_back(id);
    for (ValueId id = 0; id < floats.value_count(); ++id) {
      if (floats.value(id).is_constant()) constants_[checksum(floats.value(id))].push_back(id);
      names_.emplace(floats.value(id).name, 0);
    }
    reference_.assign(quantized.value_count(), kNone);
    isolated_ = reference_;
    accumulated_ = reference_;
    layer_of_.assign(quantized.value_count(), kNoLayer);
    members_.resize(quantized.value_count());
    quantization_of_.assign(quantized.value_count(), kNoLayer);
    float_node_.assign(float_nodes.begin(), float_nodes.end());
    float_node_.resize(quantized.node_count(), kNone);
  }

  Result<TwinGraph> run(const std::vector<Mutation>& mutations) {
    if (floats_.inputs().size() != quantized_.inputs().size() ||
        floats_.outputs().size() != quantized_.outputs().size()) {
      return error(Code::InvalidArgument, "the float model has ", floats_.inputs().size(),
                   " inputs and ", floats_.outputs().size(), " outputs, the quantized one ",
                   quantized_.inputs().size(), " and ", quantized_.outputs().size());
    }
    twin_.mutations = mutations;
    ENN_TRY(add_leaves(mutations));
    for (const NodeId id : quantized_.order()) {
      advance_to(id);
      ENN_TRY(quantizes(quantized_.node(id)) ? add_quantization(id) : add_node(id));
    }
    add_outputs(mutations);
    return std::move(twin_);
  }

 private:
  static constexpr std::size_t kNoLayer = SIZE_MAX;
  using Key = std::pair<Op, std::vector<ValueId>>;

  static Key key_of(const Node& node) { return {node.op, node.inputs}; }

  static std::uint32_t checksum(const Value& value) { return crc32c(*value.data); }

  Status add_leaves(const std::vector<Mutation>& mutations) {
    for (std::size_t i = 0; i < quantized_.inputs().size(); ++i) {
      const ValueId input = quantized_.inputs()[i];
      const ValueId same = floats_.inputs()[i];
      if (floats_.value(same).type != quantized_.value(input).type) {
        return error(Code::InvalidArgument, "input ", i, " is ",
                     to_string(floats_.value(same).type), " in the float model and ",
                     to_string(quantized_.value(input).type), " in the quantized one");
      }
      reference_[input] = isolated_[input] = accumulated_[input] = same;
    }
    // The quantized model's buffers are its own.
    for (const Mutation& mutation : mutations) {
      if (mutation.initial == nullptr) continue;
      const ValueId buffer = quantized_.inputs()[mutation.before];
      accumulated_[buffer] = twin_.graph.add_input(unique(quantized_.value(buffer).name),
                                                   quantized_.value(buffer).type);
      buffers_.push_back({mutation.name, twin_.graph.inputs().size() - 1, 0, mutation.initial});
    }
    for (ValueId id = 0; id < quantized_.value_count(); ++id) {
      if (quantized_.value(id).is_constant()) {
        isolated_[id] = accumulated_[id] = constant(quantized_.value(id));
      }
    }
    return {};
  }

  // The constant of the combined graph with these elements.
  ValueId constant(const Value& value) {
    std::vector<ValueId>& alike = constants_[checksum(value)];
    for (const ValueId id : alike) {
      const Value& known = twin_.graph.value(id);
      if (known.type == value.type && (known.data == value.data || *known.data == *value.data)) {
        return id;
      }
    }
    alike.push_back(twin_.graph.add_constant(unique(value.name), value.type, value.data));
    return alike.back();
  }

  std::string unique(const std::string& name) {
    int& count = names_[name];
    for (;;) {
      std::string candidate = str(name, ".", ++count);
      if (names_.emplace(candidate, 0).second) return candidate;
    }
  }

  // What is added from now on stands after the float graph's node of `id`.
  void advance_to(NodeId id) {
    if (float_node_[id] != kNone) pass(float_node_[id]);
  }
  void pass(NodeId float_node) { next_ = std::max(next_, place_[float_node] + 1); }

  // The node of the combined graph that computes what `node` does, of these operands: one that it
  // has already, if there is one.
  NodeId clone(const Node& node, const std::vector<ValueId>& inputs) {
    std::vector<NodeId>& alike = known_[{node.op, inputs}];
    for (const NodeId id : alike) {
      const Node& known = twin_.graph.node(id);
      if (known.attrs != node.attrs || known.outputs.size() != node.outputs.size()) continue;
      if (node.op == Op::Unknown && known.target != node.target) continue;
      if (id < twin_.float_nodes) pass(id);
      return id;
    }
    std::vector<TensorType> types;
    for (const ValueId output : node.outputs) types.push_back(quantized_.value(output).type);
    const NodeId made = insert(node.op, node.name, inputs, std::move(types), node.attrs);
    twin_.graph.node(made).target = node.target;
    twin_.graph.node(made).origin = node.origin;
    alike.push_back(made);
    return made;
  }

  NodeId insert(Op op, const std::string& name, std::vector<ValueId> inputs,
                std::vector<TensorType> types, Attributes attrs) {
    const std::string own = unique(name);
    if (next_ >= order_.size())
      return twin_.graph.add_node(op, own, std::move(inputs), std::move(types), std::move(attrs));
    return twin_.graph.insert_node(order_[next_], op, own, std::move(inputs), std::move(types),
                                   std::move(attrs));
  }

  ValueId clone_of_one(const Node& node, std::vector<ValueId> inputs) {
    return twin_.graph.node(clone(node, inputs)).outputs.front();
  }

  [[nodiscard]] std::vector<ValueId> mapped(const Node& node,
                                            const std::vector<ValueId>& values) const {
    std::vector<ValueId> out;
    for (const ValueId input : node.inputs) out.push_back(input == kNone ? kNone : values[input]);
    return out;
  }

  Status add_quantization(NodeId id) {
    const Node& node = quantized_.node(id);
    const ValueId input = node.inputs.front();
    const ValueId output = node.outputs.front();
    std::vector<ValueId> isolated = mapped(node, isolated_);
    // The float graph's value, and not the one that another quantization made.
    if (reference_[input] != kNone) isolated.front() = reference_[input];
    isolated_[output] = clone_of_one(node, std::move(isolated));
    accumulated_[output] = clone_of_one(node, mapped(node, accumulated_));
    layer_of_[output] = layer_of_[input];
    quantization_of_[output] = quantization_of_[input];
    const bool of_value = node.op == Op::Quantize && reference_[input] != kNone;
    const bool of_constant = node.op == Op::Dequantize && quantized_.value(input).is_constant();
    if (!of_value && !of_constant) return {};
    if (of_value && quantized_.value(input).type.dtype != DType::Float32) return {};
    ENN_ASSIGN(QuantParams params, quant_params(quantized_, node));
    quantization_of_[output] = twin_.quantizations.size();
    twin_.quantizations.push_back({of_value ? input : output, std::move(params), of_constant,
                                   of_value ? reference_[input] : float_constant(output)});
    return {};
  }

  // The float graph's constant in the place of a dequantized one, or kNone.
  [[nodiscard]] ValueId float_constant(ValueId dequantized) const {
    for (const NodeId reader : quantized_.users(dequantized)) {
      if (float_node_[reader] == kNone) continue;
      const std::vector<ValueId>& inputs = quantized_.node(reader).inputs;
      const std::vector<ValueId>& others = floats_.node(float_node_[reader]).inputs;
      for (std::size_t i = 0; i < std::min(inputs.size(), others.size()); ++i) {
        if (inputs[i] != dequantized || others[i] == kNone) continue;
        const Value& candidate = floats_.value(others[i]);
        if (candidate.is_constant() && candidate.type == quantized_.value(dequantized).type)
          return others[i];
      }
    }
    return kNone;
  }

  Status add_node(NodeId id) {
    const Node& node = quantized_.node(id);
    match_results(id);
    const std::vector<ValueId> isolated =
        twin_.graph.node(clone(node, mapped(node, isolated_))).outputs;
    const std::vector<ValueId> accumulated =
        twin_.graph.node(clone(node, mapped(node, accumulated_))).outputs;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      isolated_[node.outputs[i]] = isolated[i];
      accumulated_[node.outputs[i]] = accumulated[i];
    }
    // Nodes before it whose results it alone reads belong to its layer.
    TwinLayer layer;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      if (!members_[input].nodes.empty()) {
        append(layer.nodes, members_[input].nodes);
        append(layer.operands, members_[input].operands);
        append(layer.unquantized, members_[input].unquantized);
        append(layer.quantizations, members_[input].quantizations);
        members_[input] = {};
      }
      const bool is_quantized = quantization_of_[input] != kNoLayer;
      if (is_quantized) append(layer.quantizations, {quantization_of_[input]});
      if (layer_of_[input] == kNoLayer) continue;
      append(layer.operands, {layer_of_[input]});
      if (!is_quantized) append(layer.unquantized, {layer_of_[input]});
    }
    append(layer.nodes, {id});
    const bool one = node.outputs.size() == 1;
    if (one && !layer.quantizations.empty() && is_inside(node.outputs.front())) {
      members_[node.outputs.front()] = std::move(layer);
      return {};
    }
    for (const ValueId output : node.outputs) ENN_TRY(end_layer(layer, output));
    return {};
  }

  template <typename T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    for (const T& item : from) {
      if (std::ranges::find(to, item) == to.end()) to.push_back(item);
    }
  }

  void match_results(NodeId id) {
    if (float_node_[id] == kNone) return;
    const std::vector<ValueId>& results = quantized_.node(id).outputs;
    const std::vector<ValueId>& others = floats_.node(float_node_[id]).outputs;
    for (std::size_t i = 0; i < std::min(results.size(), others.size()); ++i) {
      if (quantized_.value(results[i]).type == floats_.value(others[i]).type)
        reference_[results[i]] = others[i];
    }
  }

  // Whether the value is handed on to one node, unquantized, that does not begin a layer.
  [[nodiscard]] bool is_inside(ValueId value) const {
    const std::vector<NodeId> readers = quantized_.users(value);
    if (readers.size() != 1 || quantized_.is_output(value)) return false;
    const Node& reader = quantized_.node(readers.front());
    return !quantizes(reader) && !begins_layer(reader) && reader.outputs.size() == 1 &&
           float_node_[readers.front()] != kNone &&
           quantized_.value(reader.outputs.front()).type.dtype == DType::Float32;
  }

  // The one quantization through which all read the value, with one scale, or null.
  [[nodiscard]] const Node* quantization_of_result(ValueId value) const {
    const std::vector<NodeId> readers = quantized_.users(value);
    if (readers.size() != 1 || quantized_.is_output(value)) return nullptr;
    const Node& reader = quantized_.node(readers.front());
    return reader.op == Op::Quantize && !reader.attrs.has("axis") ? &reader : nullptr;
  }

  Status end_layer(TwinLayer layer, ValueId value) {
    if (reference_[value] == kNone || quantized_.value(value).type.dtype != DType::Float32)
      return {};
    layer.value = value;
    layer.reference = reference_[value];
    layer.isolated = layer.isolated_result = isolated_[value];
    layer.accumulated = accumulated_[value];
    if (const Node* quantize = quantization_of_result(value)) {
      const std::vector<NodeId> readers = quantized_.users(quantize->outputs.front());
      const auto back = std::ranges::find_if(
          readers, [&](NodeId reader) { return quantized_.node(reader).op == Op::Dequantize; });
      if (back != readers.end()) {
        for (const Node* node : {quantize, &quantized_.node(*back)}) {
          std::vector<ValueId> inputs = mapped(*node, isolated_);
          inputs.front() = layer.isolated_result;
          layer.isolated_result = clone_of_one(*node, std::move(inputs));
        }
        // add_quantization() adds it when it comes to it.
        results_.emplace(quantize->outputs.front(), twin_.layers.size());
      }
    }
    if (layer.isolated_result == layer.reference && layer.accumulated == layer.reference) return {};
    layer_of_[value] = twin_.layers.size();
    twin_.layers.push_back(std::move(layer));
    return {};
  }

  void add_outputs(const std::vector<Mutation>& mutations) {
    for (const auto& [value, layer] : results_) {
      if (quantization_of_[value] != kNoLayer) twin_.layers[layer].result = quantization_of_[value];
    }
    std::vector<ValueId> outputs = floats_.outputs();
    std::size_t buffer = 0;
    for (const Mutation& mutation : mutations) {
      if (mutation.initial == nullptr) continue;
      buffers_[buffer++].after = outputs.size();
      outputs.push_back(accumulated_[quantized_.outputs()[mutation.after]]);
    }
    twin_.graph.set_outputs(std::move(outputs));
    twin_.mutations.insert(twin_.mutations.end(), buffers_.begin(), buffers_.end());
    for (std::size_t i = 0; i < quantized_.outputs().size(); ++i) {
      const ValueId reference = floats_.outputs()[i];
      const ValueId accumulated = accumulated_[quantized_.outputs()[i]];
      const bool is_new_value =
          std::ranges::any_of(mutations, [&](const Mutation& m) { return m.after == i; });
      const TensorType& type = twin_.graph.value(reference).type;
      if (is_new_value || type.dtype != DType::Float32) continue;
      if (twin_.graph.value(accumulated).type == type)
        twin_.outputs.push_back({i, reference, accumulated});
    }
  }

  const Graph& floats_;
  const Graph& quantized_;
  std::vector<NodeId> order_;       // of the float graph
  std::vector<std::size_t> place_;  // of its nodes in order_
  std::size_t next_ = 0;            // place of the node before which is added
  TwinGraph twin_;
  std::map<Key, std::vector<NodeId>> known_;  // nodes of the combined graph
  std::unordered_map<std::uint32_t, std::vector<ValueId>> constants_;
  std::unordered_map<std::string, int> names_;
  std::vector<NodeId> float_node_;  // by node of the quantized graph
  // By value of the quantized graph: values of the combined graph.
  std::vector<ValueId> reference_;
  std::vector<ValueId> isolated_;
  std::vector<ValueId> accumulated_;
  // By value of the quantized graph: the layer that gives it, quantized or not; the quantization
  // that it went through last; what belongs to its reader's layer.
  std::vector<std::size_t> layer_of_;
  std::vector<std::size_t> quantization_of_;
  std::vector<TwinLayer> members_;
  std::map<ValueId, std::size_t> results_;  // integers of a layer's result -> the layer
  std::vector<Mutation> buffers_;
};

}  // namespace

std::vector<NodeId> nodes_of_same_name(const Graph& floats, const Graph& quantized) {
  std::unordered_map<std::string_view, NodeId> known;
  for (const NodeId id : floats.order()) known.emplace(floats.node(id).name, id);
  std::vector<NodeId> out(quantized.node_count(), kNone);
  for (const NodeId id : quantized.order()) {
    const auto found = known.find(quantized.node(id).name);
    if (found != known.end() && floats.node(found->second).op == quantized.node(id).op)
      out[id] = found->second;
  }
  return out;
}

Result<TwinGraph> make_twin_graph(const Graph& floats, const Graph& quantized,
                                  std::span<const NodeId> float_nodes,
                                  const std::vector<Mutation>& mutations) {
  ENN_ASSIGN(TwinGraph twin, TwinBuilder(floats, quantized, float_nodes).run(mutations));
  if (const Status status = verify(twin.graph); !status.ok()) {
    return error(Code::Internal, "the graph that compares the models: ", status.message());
  }
  return twin;
}

}  // namespace enn

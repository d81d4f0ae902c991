// The IR of all ahead-of-time stages: a directed acyclic graph in topological order over one small
// set of operators. ATen, edge and .pt2 spellings of an operator become the same node
// (ops/import.hpp).
//
// A graph goes through two forms. In the first every value is float or integer and quantization is
// explicit (quantize/dequantize nodes), as torch.export gives it. After the compiler's `fold_qdq`
// pass 8-bit values carry their QuantParams themselves and operators consume and produce them
// directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "enn/result.hpp"
#include "enn/tensor_type.hpp"
#include "ir/origin.hpp"

namespace enn {

// One enumerator per ENN_OP row of ops/ops.def.
enum class Op : std::uint16_t {
#define ENN_OP(name, text, family) name,
#define ENN_ATEN(target, op, import)
#include "ops/ops.def"
#undef ENN_OP
#undef ENN_ATEN
};

// Name in the text form, e.g. "convolution".
[[nodiscard]] std::string_view to_string(Op op);
[[nodiscard]] std::optional<Op> op_from_string(std::string_view text);

// Affine quantization: real = (q - zero_point) * scale. Per tensor when axis < 0 (one scale, one
// zero point), else one per index of dimension `axis`. Values lie in [quant_min, quant_max].
struct QuantParams {
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
  int axis = -1;
  std::int32_t quant_min = -128;
  std::int32_t quant_max = 127;

  [[nodiscard]] bool per_tensor() const { return axis < 0; }
  [[nodiscard]] float scale() const { return scales.front(); }
  [[nodiscard]] std::int32_t zero_point() const { return zero_points.front(); }
  friend bool operator==(const QuantParams&, const QuantParams&) = default;
};

// Physical order of a value's elements. Shapes are always logical (NCHW); ChannelsLast says that a
// rank-4 value lies in memory as NHWC.
enum class Layout : std::uint8_t { Contiguous, ChannelsLast };

// Immutable bytes of a constant, row-major contiguous. Shared, because several graphs (the exported
// one, the one being compiled) hold the same weights and none may copy them.
using ConstantData = std::shared_ptr<const std::vector<std::byte>>;

using ValueId = std::uint32_t;
using NodeId = std::uint32_t;
inline constexpr std::uint32_t kNone = UINT32_MAX;

struct Value {
  std::string name;
  TensorType type;
  std::optional<QuantParams> quant;
  Layout layout = Layout::Contiguous;
  ConstantData data;        // set for constants only
  NodeId producer = kNone;  // kNone for graph inputs and constants

  [[nodiscard]] bool is_constant() const { return data != nullptr; }
};

using AttributeValue = std::variant<std::int64_t, double, bool, std::string,
                                    std::vector<std::int64_t>, std::vector<double>>;

// Named attributes of a node, ordered by name. Which an operator has is written in its family's
// infer.cpp.
class Attributes {
 public:
  void set(std::string name, AttributeValue value) { items_[std::move(name)] = std::move(value); }
  void erase(std::string_view name);
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  // Null when absent.
  [[nodiscard]] const AttributeValue* find(std::string_view name) const;

  // Typed access with a default for an absent attribute. An attribute of another type counts as
  // absent, except that an integer is accepted where a number is asked for. infer() has checked the
  // types.
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise = 0) const;
  [[nodiscard]] double number(std::string_view name, double otherwise = 0.0) const;
  [[nodiscard]] bool boolean(std::string_view name, bool otherwise = false) const;
  [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise = "") const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name) const;

  [[nodiscard]] const std::map<std::string, AttributeValue, std::less<>>& items() const {
    return items_;
  }
  friend bool operator==(const Attributes&, const Attributes&) = default;

 private:
  std::map<std::string, AttributeValue, std::less<>> items_;
};

struct Node {
  Op op{};
  std::string name;
  std::vector<ValueId> inputs;  // kNone stands for an optional tensor that is absent (a bias)
  std::vector<ValueId> outputs;
  Attributes attrs;
  std::string
      target;         // the spelling it was imported from, e.g. "aten.conv2d.default"; for messages
  Origin origin;      // in the eager model
  bool dead = false;  // erased; skipped everywhere
};

// What was computed about a graph as it stands. A copy of the graph computes its own.
class AnalysisCache {
 public:
  AnalysisCache() = default;
  AnalysisCache(const AnalysisCache& /*other*/) {}
  AnalysisCache(AnalysisCache&&) noexcept = default;
  AnalysisCache& operator=(const AnalysisCache& other) {
    if (this != &other) items_.clear();
    return *this;
  }
  AnalysisCache& operator=(AnalysisCache&&) noexcept = default;
  ~AnalysisCache() = default;

  void clear() { items_.clear(); }
  [[nodiscard]] std::shared_ptr<void>* find(const void* key) {
    for (auto& [known, item] : items_) {
      if (known == key) return &item;
    }
    return nullptr;
  }
  void add(const void* key, std::shared_ptr<void> item) {
    items_.emplace_back(key, std::move(item));
  }

 private:
  std::vector<std::pair<const void*, std::shared_ptr<void>>> items_;
};

// One thread uses a graph at a time, its const members too: they keep what they compute.
class Graph {
 public:
  ValueId add_input(std::string name, TensorType type);
  // Precondition: data->size() == numel * size_of(dtype).
  ValueId add_constant(std::string name, TensorType type, ConstantData data);
  // Appends a node with one new value per entry of `results`; the first is named `name`, the i-th
  // `name.i`. Order of appending is the order of execution.
  NodeId add_node(Op op, std::string name, std::vector<ValueId> inputs,
                  std::vector<TensorType> results, Attributes attrs = {});
  // As add_node, but placed directly before the node `before` in the order of execution.
  NodeId insert_node(NodeId before, Op op, std::string name, std::vector<ValueId> inputs,
                     std::vector<TensorType> results, Attributes attrs = {});
  void set_outputs(std::vector<ValueId> outputs);
  // Marks a float value that whoever runs the program is shown, as float32, in each run. It is kept
  // as an output is. Returns its number, counted from 0; one value may be tapped more than once.
  std::uint32_t add_tap(ValueId value);

  // A reference holds until the next call that adds something. Operands are changed through it
  // before anything else is asked of the graph.
  [[nodiscard]] Value& value(ValueId id) {
    analyses_.clear();
    return values_[id];
  }
  [[nodiscard]] const Value& value(ValueId id) const { return values_[id]; }
  [[nodiscard]] Node& node(NodeId id) {
    analyses_.clear();
    if (!touched_[id]) {
      touched_[id] = true;
      touched_nodes_.push_back(id);
    }
    return nodes_[id];
  }
  [[nodiscard]] const Node& node(NodeId id) const { return nodes_[id]; }
  [[nodiscard]] std::size_t value_count() const { return values_.size(); }
  [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }
  [[nodiscard]] const std::vector<ValueId>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<ValueId>& outputs() const { return outputs_; }
  [[nodiscard]] const std::vector<ValueId>& taps() const { return taps_; }
  // Live nodes in the order of execution. Recomputed by each call.
  [[nodiscard]] std::vector<NodeId> order() const;
  // Whether `a` is executed before `b`.
  [[nodiscard]] bool precedes(NodeId a, NodeId b) const {
    return places_[a].label < places_[b].label;
  }

  // Live nodes that read `id`, in the order of execution; a node that reads it twice is listed
  // once. The time depends on their number alone.
  [[nodiscard]] std::vector<NodeId> users(ValueId id) const;
  // Whether it is an output or tapped: its value as it stands is needed outside.
  [[nodiscard]] bool is_output(ValueId id) const;
  // The node that computes `id`, or nullptr for inputs and constants.
  [[nodiscard]] const Node* producer(ValueId id) const;
  // Makes every live node, the graph outputs and the taps read `to` instead of `from`.
  void replace_uses(ValueId from, ValueId to);
  void erase_node(NodeId id);
  // Erases nodes none of whose results is used.
  void erase_unused();

  // What T(const Graph&) computes about the graph as it stands: once, until something changes. T
  // keeps no reference to the graph.
  template <typename T>
  [[nodiscard]] std::shared_ptr<T> analysis() const {
    static const char key = 0;
    if (const std::shared_ptr<void>* known = analyses_.find(&key)) {
      return std::static_pointer_cast<T>(*known);
    }
    const auto made = std::make_shared<T>(*this);
    analyses_.add(&key, made);
    return made;
  }

 private:
  // Where a node stands among the others: labels ascend in the order of execution.
  struct Place {
    NodeId before = kNone;
    NodeId after = kNone;
    std::uint64_t label = 0;
  };

  ValueId add_value(Value value);
  NodeId make_node(Op op, std::string name, std::vector<ValueId> inputs,
                   std::vector<TensorType> results, Attributes attrs);
  void place_before(NodeId id, NodeId next);
  void add_uses(NodeId id) const;
  void update_uses() const;
  void count_kept(const std::vector<ValueId>& ids, int change);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<Place> places_;
  NodeId first_ = kNone;
  NodeId last_ = kNone;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::vector<ValueId> taps_;
  std::vector<int> kept_;  // by value: how often it is an output or tapped
  // By value the nodes that read it, by node the operands with which it stands there. Both lag
  // behind for the nodes that were handed out to be changed.
  mutable std::vector<std::vector<NodeId>> uses_;
  mutable std::vector<std::vector<ValueId>> known_inputs_;
  mutable std::vector<bool> touched_;
  mutable std::vector<NodeId> touched_nodes_;
  mutable AnalysisCache analyses_;
};

// Checks every rule of the IR: ids in range, each value defined before it is used, constants of the
// right size, quantization parameters complete, and that every operator's attributes, operands and
// result types agree with its shape rule. The message names the node.
[[nodiscard]] Status verify(const Graph& graph);

// The text form; parse(print(g)) is g, except that constants above 64 bytes are written as
// "<n bytes>" and come back zero-filled, and that modules (Node::origin) are not written.
[[nodiscard]] std::string print(const Graph& graph);
[[nodiscard]] Result<Graph> parse(std::string_view text);

}  // namespace enn

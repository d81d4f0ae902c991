#include "ir/graph.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace enn {
namespace {

constexpr auto kOpNames = std::to_array<std::string_view>({
#define ENN_OP(name, text, family) #text,
#define ENN_ATEN(target, op, import)
#include "ops/ops.def"
#undef ENN_OP
#undef ENN_ATEN
});

}  // namespace

std::string_view to_string(Op op) { return kOpNames[static_cast<std::size_t>(op)]; }

std::optional<Op> op_from_string(std::string_view text) {
  const auto* const found = std::find(kOpNames.begin(), kOpNames.end(), text);
  if (found == kOpNames.end()) return std::nullopt;
  return static_cast<Op>(found - kOpNames.begin());
}

void Attributes::erase(std::string_view name) {
  if (const auto found = items_.find(name); found != items_.end()) items_.erase(found);
}

const AttributeValue* Attributes::find(std::string_view name) const {
  const auto found = items_.find(name);
  return found == items_.end() ? nullptr : &found->second;
}

std::int64_t Attributes::integer(std::string_view name, std::int64_t otherwise) const {
  const AttributeValue* value = find(name);
  const auto* integer = value != nullptr ? std::get_if<std::int64_t>(value) : nullptr;
  return integer != nullptr ? *integer : otherwise;
}

double Attributes::number(std::string_view name, double otherwise) const {
  const AttributeValue* value = find(name);
  if (value == nullptr) return otherwise;
  if (const auto* real = std::get_if<double>(value)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(value)) return static_cast<double>(*integer);
  return otherwise;
}

bool Attributes::boolean(std::string_view name, bool otherwise) const {
  const AttributeValue* value = find(name);
  const auto* flag = value != nullptr ? std::get_if<bool>(value) : nullptr;
  return flag != nullptr ? *flag : otherwise;
}

std::string Attributes::text(std::string_view name, std::string_view otherwise) const {
  const AttributeValue* value = find(name);
  const auto* text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
  return text != nullptr ? *text : std::string(otherwise);
}

std::vector<std::int64_t> Attributes::integers(std::string_view name) const {
  const AttributeValue* value = find(name);
  const auto* list = value != nullptr ? std::get_if<std::vector<std::int64_t>>(value) : nullptr;
  return list != nullptr ? *list : std::vector<std::int64_t>{};
}

ValueId Graph::add_input(std::string name, TensorType type) {
  const auto id = static_cast<ValueId>(values_.size());
  values_.push_back(
      {.name = std::move(name), .type = std::move(type), .quant = {}, .data = nullptr});
  inputs_.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, TensorType type, ConstantData data) {
  assert(data != nullptr);
  const auto id = static_cast<ValueId>(values_.size());
  values_.push_back(
      {.name = std::move(name), .type = std::move(type), .quant = {}, .data = std::move(data)});
  return id;
}

NodeId Graph::make_node(Op op, std::string name, std::vector<ValueId> inputs,
                        std::vector<TensorType> results, Attributes attrs) {
  const auto id = static_cast<NodeId>(nodes_.size());
  Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    node.outputs.push_back(static_cast<ValueId>(values_.size()));
    values_.push_back({.name = i == 0 ? name : str(name, '.', i),
                       .type = std::move(results[i]),
                       .quant = {},
                       .data = nullptr,
                       .producer = id});
  }
  node.name = std::move(name);
  nodes_.push_back(std::move(node));
  return id;
}

NodeId Graph::add_node(Op op, std::string name, std::vector<ValueId> inputs,
                       std::vector<TensorType> results, Attributes attrs) {
  const NodeId id =
      make_node(op, std::move(name), std::move(inputs), std::move(results), std::move(attrs));
  order_.push_back(id);
  return id;
}

NodeId Graph::insert_node(NodeId before, Op op, std::string name, std::vector<ValueId> inputs,
                          std::vector<TensorType> results, Attributes attrs) {
  const NodeId id =
      make_node(op, std::move(name), std::move(inputs), std::move(results), std::move(attrs));
  order_.insert(std::find(order_.begin(), order_.end(), before), id);
  return id;
}

std::vector<NodeId> Graph::order() const {
  std::vector<NodeId> live;
  live.reserve(order_.size());
  std::copy_if(order_.begin(), order_.end(), std::back_inserter(live),
               [&](NodeId id) { return !nodes_[id].dead; });
  return live;
}

std::vector<NodeId> Graph::users(ValueId id) const {
  std::vector<NodeId> found;
  for (const NodeId node : order_) {
    const std::vector<ValueId>& inputs = nodes_[node].inputs;
    if (!nodes_[node].dead && std::find(inputs.begin(), inputs.end(), id) != inputs.end()) {
      found.push_back(node);
    }
  }
  return found;
}

bool Graph::is_output(ValueId id) const {
  return std::find(outputs_.begin(), outputs_.end(), id) != outputs_.end() ||
         std::find(taps_.begin(), taps_.end(), id) != taps_.end();
}

std::uint32_t Graph::add_tap(ValueId value) {
  taps_.push_back(value);
  return static_cast<std::uint32_t>(taps_.size() - 1);
}

const Node* Graph::producer(ValueId id) const {
  if (id == kNone || values_[id].producer == kNone) return nullptr;
  return &nodes_[values_[id].producer];
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes_) {
    if (!node.dead) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  }
  std::replace(outputs_.begin(), outputs_.end(), from, to);
  std::replace(taps_.begin(), taps_.end(), from, to);
}

void Graph::erase_unused() {
  std::vector<bool> used(values_.size(), false);
  for (const ValueId id : outputs_) used[id] = true;
  for (const ValueId id : taps_) used[id] = true;
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    Node& node = nodes_[*it];
    if (node.dead) continue;
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return used[id]; })) {
      node.dead = true;
      continue;
    }
    for (const ValueId id : node.inputs) {
      if (id != kNone) used[id] = true;
    }
  }
}

}  // namespace enn

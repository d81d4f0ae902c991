#include "ir/graph.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <utility>

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

ValueId Graph::add_value(Value value) {
  analyses_.clear();
  const auto id = static_cast<ValueId>(values_.size());
  values_.push_back(std::move(value));
  uses_.emplace_back();
  kept_.push_back(0);
  return id;
}

ValueId Graph::add_input(std::string name, TensorType type) {
  const ValueId id =
      add_value({.name = std::move(name), .type = std::move(type), .quant = {}, .data = nullptr});
  inputs_.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, TensorType type, ConstantData data) {
  assert(data != nullptr);
  return add_value(
      {.name = std::move(name), .type = std::move(type), .quant = {}, .data = std::move(data)});
}

NodeId Graph::make_node(Op op, std::string name, std::vector<ValueId> inputs,
                        std::vector<TensorType> results, Attributes attrs) {
  const auto id = static_cast<NodeId>(nodes_.size());
  Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    node.outputs.push_back(add_value({.name = i == 0 ? name : str(name, '.', i),
                                      .type = std::move(results[i]),
                                      .quant = {},
                                      .data = nullptr,
                                      .producer = id}));
  }
  node.name = std::move(name);
  nodes_.push_back(std::move(node));
  places_.emplace_back();
  known_inputs_.emplace_back();
  touched_.push_back(false);
  add_uses(id);
  analyses_.clear();
  return id;
}

NodeId Graph::add_node(Op op, std::string name, std::vector<ValueId> inputs,
                       std::vector<TensorType> results, Attributes attrs) {
  const NodeId id =
      make_node(op, std::move(name), std::move(inputs), std::move(results), std::move(attrs));
  place_before(id, kNone);
  return id;
}

NodeId Graph::insert_node(NodeId before, Op op, std::string name, std::vector<ValueId> inputs,
                          std::vector<TensorType> results, Attributes attrs) {
  const NodeId id =
      make_node(op, std::move(name), std::move(inputs), std::move(results), std::move(attrs));
  place_before(id, before);
  return id;
}

// At the end when `next` is kNone.
void Graph::place_before(NodeId id, NodeId next) {
  constexpr std::uint64_t kGap = std::uint64_t{1} << 32;
  const NodeId previous = next == kNone ? last_ : places_[next].before;
  places_[id].before = previous;
  places_[id].after = next;
  (previous == kNone ? first_ : places_[previous].after) = id;
  (next == kNone ? last_ : places_[next].before) = id;
  const std::uint64_t low = previous == kNone ? 0 : places_[previous].label;
  const std::uint64_t high = next == kNone ? low + 2 * kGap : places_[next].label;
  places_[id].label = low + (high - low) / 2;
  if (places_[id].label != low) return;
  std::uint64_t label = 0;
  for (NodeId at = first_; at != kNone; at = places_[at].after) places_[at].label = label += kGap;
}

std::vector<NodeId> Graph::order() const {
  std::vector<NodeId> live;
  live.reserve(nodes_.size());
  for (NodeId id = first_; id != kNone; id = places_[id].after) {
    if (!nodes_[id].dead) live.push_back(id);
  }
  return live;
}

// Ids that stand for no value are left to the verifier.
void Graph::add_uses(NodeId id) const {
  known_inputs_[id] = nodes_[id].inputs;
  for (const ValueId input : known_inputs_[id]) {
    if (input >= values_.size()) continue;
    std::vector<NodeId>& uses = uses_[input];
    if (uses.empty() || uses.back() != id) uses.push_back(id);
  }
}

void Graph::update_uses() const {
  for (const NodeId id : touched_nodes_) {
    touched_[id] = false;
    if (known_inputs_[id] == nodes_[id].inputs) continue;
    for (const ValueId input : known_inputs_[id]) {
      if (input < values_.size()) std::erase(uses_[input], id);
    }
    add_uses(id);
  }
  touched_nodes_.clear();
}

std::vector<NodeId> Graph::users(ValueId id) const {
  update_uses();
  std::vector<NodeId> found;
  std::ranges::copy_if(uses_[id], std::back_inserter(found),
                       [&](NodeId node) { return !nodes_[node].dead; });
  std::ranges::sort(found, {}, [&](NodeId node) { return places_[node].label; });
  return found;
}

bool Graph::is_output(ValueId id) const { return kept_[id] > 0; }

void Graph::count_kept(const std::vector<ValueId>& ids, int change) {
  for (const ValueId id : ids) {
    if (id < kept_.size()) kept_[id] += change;
  }
}

void Graph::set_outputs(std::vector<ValueId> outputs) {
  analyses_.clear();
  count_kept(outputs_, -1);
  outputs_ = std::move(outputs);
  count_kept(outputs_, 1);
}

std::uint32_t Graph::add_tap(ValueId value) {
  analyses_.clear();
  taps_.push_back(value);
  count_kept({value}, 1);
  return static_cast<std::uint32_t>(taps_.size() - 1);
}

const Node* Graph::producer(ValueId id) const {
  if (id == kNone || values_[id].producer == kNone) return nullptr;
  return &nodes_[values_[id].producer];
}

void Graph::replace_uses(ValueId from, ValueId to) {
  if (from == to) return;
  for (const NodeId id : users(from)) {
    std::vector<ValueId>& inputs = node(id).inputs;
    std::replace(inputs.begin(), inputs.end(), from, to);
  }
  update_uses();
  if (kept_[from] == 0) return;
  std::replace(outputs_.begin(), outputs_.end(), from, to);
  std::replace(taps_.begin(), taps_.end(), from, to);
  kept_[to] += std::exchange(kept_[from], 0);
}

void Graph::erase_node(NodeId id) {
  analyses_.clear();
  nodes_[id].dead = true;
}

void Graph::erase_unused() {
  analyses_.clear();
  std::vector<bool> used(values_.size(), false);
  for (const ValueId id : outputs_) used[id] = true;
  for (const ValueId id : taps_) used[id] = true;
  for (NodeId id = last_; id != kNone; id = places_[id].before) {
    Node& node = nodes_[id];
    if (node.dead) continue;
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId output) { return used[output]; })) {
      node.dead = true;
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (input != kNone) used[input] = true;
    }
  }
}

}  // namespace enn

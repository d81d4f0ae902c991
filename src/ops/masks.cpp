#include "ops/masks.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "ops/ops.hpp"

namespace enn {
namespace {

constexpr double kHighestMask = -1000.0;

bool masks(double number) { return number <= kHighestMask; }

// A mask of 4096 x 4096 is the largest that is looked at; tables of embeddings are larger.
bool is_constant_that_masks(const Value& value) {
  constexpr std::size_t kLargestMask = std::size_t{1} << 26;
  if (value.type.dtype != DType::Float32 || value.data->size() > kLargestMask) return false;
  for (std::size_t at = 0; at < value.data->size(); at += sizeof(float)) {
    float number = 0;
    std::memcpy(&number, value.data->data() + at, sizeof(number));
    if (masks(static_cast<double>(number))) return true;
  }
  return false;
}

bool keeps_order(Op op) { return op == Op::Reshape || op == Op::Identity; }

bool is_sum(const Graph& graph, ValueId value) {
  const Node* producer = graph.producer(value);
  if (producer == nullptr) return false;
  return producer->op == Op::Add ||
         (keeps_order(producer->op) && is_sum(graph, producer->inputs[0]));
}

bool ends_in_softmax(const Graph& graph, ValueId value) {
  const std::vector<NodeId> users = graph.users(value);
  return !users.empty() && !graph.is_output(value) && std::ranges::all_of(users, [&](NodeId user) {
    const Node& node = graph.node(user);
    return node.op == Op::Softmax || ((node.op == Op::Add || keeps_order(node.op)) &&
                                      ends_in_softmax(graph, node.outputs[0]));
  });
}

// A sum that only softmaxes read, viewed or not: scores and what masks them.
bool is_masked_score(const Graph& graph, ValueId value) {
  return is_sum(graph, value) && ends_in_softmax(graph, value);
}

// The operands of which the masks, if they hold any, pass to the result.
std::vector<ValueId> operands_that_pass(const Graph& graph, const Node& node) {
  const std::vector<ValueId>& in = node.inputs;
  switch (node.op) {
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Convert:
      return in;
    case Op::Where:
      return {in.begin() + 1, in.end()};
    // A bound of -3.4e38 is none.
    case Op::Maximum:
    case Op::Minimum: {
      std::vector<ValueId> out = in;
      std::erase_if(out, [&](ValueId id) { return graph.value(id).is_constant(); });
      return out;
    }
    case Op::ClampTensor:
      return {in.front()};
    case Op::Clamp:
      return masks(node.attrs.number("min", kHighestMask)) ? in : std::vector<ValueId>();
    default:
      return moves_elements(graph, node) ? in : std::vector<ValueId>();
  }
}

class Search {
 public:
  explicit Search(const Graph& graph) : graph_(graph) {}

  bool finds(ValueId id) {
    if (id == kNone || !seen_.insert(id).second) return false;
    const Node* producer = graph_.producer(id);
    if (producer == nullptr) {
      const Value& value = graph_.value(id);
      return value.is_constant() ? is_constant_that_masks(value) : is_score_mask(graph_, id);
    }
    if (producer->op == Op::Fill) return masks(producer->attrs.number("value"));
    return std::ranges::any_of(operands_that_pass(graph_, *producer),
                               [&](ValueId operand) { return finds(operand); });
  }

 private:
  const Graph& graph_;
  std::set<ValueId> seen_;
};

}  // namespace

bool is_score_mask(const Graph& graph, ValueId value) {
  const std::vector<NodeId> users = graph.users(value);
  return !users.empty() && !graph.is_output(value) && std::ranges::all_of(users, [&](NodeId user) {
    const Node& node = graph.node(user);
    return is_masked_score(graph, node.outputs[0]) ||
           (moves_elements(graph, node) && is_score_mask(graph, node.outputs[0]));
  });
}

bool holds_masks(const Graph& graph, ValueId value) {
  return graph.value(value).type.dtype == DType::Float32 &&
         (is_masked_score(graph, value) || Search(graph).finds(value));
}

bool runs_on_masks(const Graph& graph, NodeId node) {
  const Node& n = graph.node(node);
  const auto holds = [&](ValueId id) {
    return id != kNone && !graph.value(id).is_constant() && holds_masks(graph, id);
  };
  if (std::ranges::any_of(n.outputs, holds)) return true;
  return n.op != Op::Softmax && n.op != Op::LogSoftmax && std::ranges::any_of(n.inputs, holds);
}

}  // namespace enn

#include "ops/masks.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

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

// The operands of which the masks, if they hold any, pass to the result.
std::vector<ValueId> operands_that_pass(const Graph& graph, const Node& node, bool moves) {
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
      return moves ? in : std::vector<ValueId>();
  }
}

// Finds each property of all values at once: it walks against the order of execution for what
// depends on the readers, and along it for what depends on the operands.
class MaskFinder {
 public:
  explicit MaskFinder(const Graph& graph)
      : graph_(graph),
        order_(graph.order()),
        moves_(graph.node_count(), false),
        score_(graph.value_count(), false),
        mask_(graph.value_count(), false),
        holds_(graph.value_count(), false) {
    for (const NodeId id : order_) moves_[id] = moves_elements(graph, graph.node(id));
    find_scores();
    mask_ = read_only_by([&](const Node& node, NodeId id, const std::vector<bool>& found) {
      return score_[node.outputs[0]] || (moves_[id] && found[node.outputs[0]]);
    });
    find_holders();
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const bool floats = graph.value(id).type.dtype == DType::Float32;
      holds_[id] = floats && (holds_[id] || score_[id]);
    }
  }

  std::vector<bool> take_masks() { return std::move(mask_); }
  std::vector<bool> take_holders() { return std::move(holds_); }

 private:
  // The values that are read, by nothing but nodes for which `fits`, and are no outputs.
  template <typename Fits>
  [[nodiscard]] std::vector<bool> read_only_by(const Fits& fits) const {
    std::vector<bool> found(graph_.value_count(), false);
    std::vector<bool> misses(graph_.value_count(), false);
    for (const ValueId id : graph_.outputs()) misses[id] = true;
    for (const ValueId id : graph_.taps()) misses[id] = true;
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      const Node& node = graph_.node(*id);
      const bool fit = !node.outputs.empty() && fits(node, *id, found);
      for (const ValueId input : node.inputs) {
        if (input == kNone) continue;
        misses[input] = misses[input] || !fit;
        found[input] = !misses[input];
      }
    }
    return found;
  }

  // Sums that only softmaxes read, viewed or not: scores and what masks them.
  void find_scores() {
    const std::vector<bool> ends_in_softmax =
        read_only_by([&](const Node& node, NodeId, const std::vector<bool>& found) {
          return node.op == Op::Softmax ||
                 ((node.op == Op::Add || keeps_order(node.op)) && found[node.outputs[0]]);
        });
    std::vector<bool> is_sum(graph_.value_count(), false);
    for (const NodeId id : order_) {
      const Node& node = graph_.node(id);
      for (const ValueId output : node.outputs) {
        is_sum[output] = node.op == Op::Add || (keeps_order(node.op) && is_sum[node.inputs[0]]);
        score_[output] = is_sum[output] && ends_in_softmax[output];
      }
    }
  }

  void find_holders() {
    std::vector<bool> looked_at(graph_.value_count(), false);
    const auto holds = [&](ValueId id) {
      if (id == kNone) return false;
      const Value& value = graph_.value(id);
      if (value.producer == kNone && !looked_at[id]) {
        looked_at[id] = true;
        holds_[id] = value.is_constant() ? is_constant_that_masks(value) : mask_[id];
      }
      return bool{holds_[id]};
    };
    for (const NodeId id : order_) {
      const Node& node = graph_.node(id);
      const bool held =
          node.op == Op::Fill
              ? masks(node.attrs.number("value"))
              : std::ranges::any_of(operands_that_pass(graph_, node, moves_[id]), holds);
      for (const ValueId output : node.outputs) holds_[output] = held;
    }
    for (const ValueId id : graph_.inputs()) holds_[id] = mask_[id];
  }

  const Graph& graph_;
  std::vector<NodeId> order_;
  std::vector<bool> moves_;  // by node
  std::vector<bool> score_;
  std::vector<bool> mask_;
  std::vector<bool> holds_;
};

// By value.
struct Masks {
  explicit Masks(const Graph& graph) {
    MaskFinder finder(graph);
    is_mask = finder.take_masks();
    holds = finder.take_holders();
  }

  std::vector<bool> is_mask;
  std::vector<bool> holds;
};

}  // namespace

bool is_score_mask(const Graph& graph, ValueId value) {
  return graph.analysis<Masks>()->is_mask[value];
}

bool holds_masks(const Graph& graph, ValueId value) {
  return graph.analysis<Masks>()->holds[value];
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

#include "ops/written_out.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "ops/common.hpp"

namespace enn {
namespace {

class Matcher {
 public:
  Matcher(const Graph& graph, ValueId value) : graph_(graph), value_(value) {}

  std::optional<WrittenOut> run() {
    const std::vector<NodeId> users = graph_.users(value_);
    if (users.size() != 2 || graph_.is_output(value_)) return std::nullopt;
    for (const auto& [inner, product] :
         {std::pair(users[0], users[1]), std::pair(users[1], users[0])}) {
      for (const Op op : {Op::Silu, Op::Hardswish, Op::Gelu}) {
        nodes_ = {inner};
        if (matches(op, inner, product)) return WrittenOut{op, nodes_};
      }
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] const Node& node(NodeId id) const { return graph_.node(id); }

  // The only reader of the last node, which is an `op` then and becomes the last; else kNone.
  NodeId next(Op op) {
    const ValueId result = node(nodes_.back()).outputs[0];
    const std::vector<NodeId> users = graph_.users(result);
    if (users.size() != 1 || graph_.is_output(result) || node(users.front()).op != op ||
        is_internal(node(users.front()))) {
      return kNone;
    }
    nodes_.push_back(users.front());
    return users.front();
  }

  // The number beside the one operand of a node that is no number, or NaN.
  [[nodiscard]] double number(NodeId id) const {
    const Node& binary = node(id);
    if (binary.inputs.size() != 2) return std::nan("");
    for (std::size_t i = 0; i < 2; ++i) {
      const Value& value = graph_.value(binary.inputs[i]);
      if (!value.is_constant() || value.type.dtype != DType::Float32 ||
          value.data->size() != sizeof(float) || (binary.op == Op::Div && i == 0)) {
        continue;
      }
      float number = 0;
      std::memcpy(&number, value.data->data(), sizeof(number));
      return static_cast<double>(number) * (i == 1 ? binary.attrs.number("alpha", 1.0) : 1.0);
    }
    return std::nan("");
  }

  // What a product or quotient with a number multiplies with, or NaN.
  [[nodiscard]] double factor(NodeId id) const {
    if (node(id).op == Op::Mul) return number(id);
    return node(id).op == Op::Div ? 1.0 / number(id) : std::nan("");
  }

  static bool is_near(double a, double b) { return std::fabs(a - b) <= 1e-6 * std::fabs(b); }

  // The product of `value` and the last node's result.
  bool multiplies_value(NodeId product) {
    return next(Op::Mul) == product &&
           std::ranges::find(node(product).inputs, value_) != node(product).inputs.end();
  }

  // Products with numbers after the last node, whose factors make `whole` together.
  bool scales_to(double whole) {
    if (is_near(whole, 1.0)) return true;
    const NodeId last = next(Op::Mul) != kNone ? nodes_.back() : next(Op::Div);
    return last != kNone && is_near(factor(last), whole);
  }

  bool matches(Op op, NodeId inner, NodeId product) {
    switch (op) {
      case Op::Silu:
        return node(inner).op == Op::Sigmoid && multiplies_value(product);
      case Op::Hardswish:
        return matches_hardswish(inner, product);
      default:
        return matches_gelu(inner, product);
    }
  }

  bool matches_hardswish(NodeId inner, NodeId product) {
    if (node(inner).op == Op::Hardsigmoid) return multiplies_value(product);
    if (node(inner).op != Op::Add || number(inner) != 3.0 || next(Op::Clamp) == kNone) return false;
    const Attributes& clamp = node(nodes_.back()).attrs;
    if (!clamp.has("min") || !clamp.has("max") || clamp.number("min") != 0.0 ||
        clamp.number("max") != 6.0) {
      return false;
    }
    return scaled_product(product, 1.0 / 6.0);
  }

  bool matches_gelu(NodeId inner, NodeId product) {
    if (!is_near(factor(inner), 1.0 / std::numbers::sqrt2) || next(Op::Erf) == kNone ||
        next(Op::Add) == kNone || number(nodes_.back()) != 1.0) {
      return false;
    }
    return scaled_product(product, 0.5);
  }

  // The last node's result times `value` times `whole`, the number before or after the value.
  bool scaled_product(NodeId product, double whole) {
    const std::vector<NodeId> before = nodes_;
    if (multiplies_value(product) && scales_to(whole)) return true;
    nodes_ = before;
    return scales_to(whole) && multiplies_value(product);
  }

  const Graph& graph_;
  ValueId value_;
  std::vector<NodeId> nodes_;
};

}  // namespace

std::optional<WrittenOut> written_out_function(const Graph& graph, ValueId value) {
  return Matcher(graph, value).run();
}

}  // namespace enn

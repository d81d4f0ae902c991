#include <algorithm>
#include <array>
#include <optional>

#include "compiler/passes/passes.hpp"
#include "ops/ops.hpp"

namespace enn {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::size_t kImageRank = 4;

// Where the dimensions of the narrow form of an image lie among the image's four: those of one
// dimension, and those without a batch.
const std::array<Dims, 3>& narrow_forms() {
  static const std::array<Dims, 3> forms{Dims{0, 1, 3}, Dims{1, 3}, Dims{1, 2, 3}};
  return forms;
}

// The shape of an image whose narrow form has `shape`, aligned on the right.
Shape widened(const Shape& shape, const Dims& places) {
  Shape wide(kImageRank, 1);
  const std::size_t missing = places.size() - shape.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    wide[static_cast<std::size_t>(places[missing + d])] = shape[d];
  }
  return wide;
}

std::optional<Dims> places_in(const Shape& wide, const Shape& narrow) {
  if (wide.size() != kImageRank) return std::nullopt;
  for (const Dims& places : narrow_forms()) {
    if (places.size() == narrow.size() && widened(narrow, places) == wide) return places;
  }
  return std::nullopt;
}

// A permutation of the narrow form, of the image's dimensions.
Dims widened_permutation(const Dims& permutation, const Dims& places) {
  Dims wide{0, 1, 2, 3};
  for (std::size_t d = 0; d < places.size(); ++d) {
    wide[static_cast<std::size_t>(places[d])] = places[static_cast<std::size_t>(permutation[d])];
  }
  return wide;
}

class ReshapeSinker {
 public:
  explicit ReshapeSinker(Graph& graph) : graph_(graph) {}

  Status run() {
    graph_.erase_unused();
    for (const NodeId id : graph_.order()) {
      if (graph_.node(id).op == Op::Reshape) {
        join_reshapes(id);
      } else if (is_sinkable(id)) {
        sink(id);
      } else if (family(graph_.node(id).op) == "reduce") {
        sink_reduction(id);
      }
    }
    const std::vector<NodeId> order = graph_.order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (!graph_.node(*it).dead && graph_.node(*it).op == Op::Reshape) raise(*it);
    }
    graph_.erase_unused();
    return {};
  }

 private:
  [[nodiscard]] const Shape& shape_of(ValueId id) const { return graph_.value(id).type.shape; }

  // Elementwise, or with dimensions that are renumbered below.
  [[nodiscard]] bool is_sinkable(NodeId id) const {
    const Node& node = graph_.node(id);
    if (node.outputs.size() != 1 || node.attrs.boolean("train")) return false;
    const std::string_view name = family(node.op);
    if (name == "qdq") return !node.attrs.has("axis");
    return name == "unary" || name == "binary" || name == "where" || name == "convert" ||
           node.op == Op::Identity || node.op == Op::Concat || node.op == Op::Permute;
  }

  // Where the dimensions of `id` lie in the image that it is the narrow form of.
  [[nodiscard]] std::optional<Dims> narrowed(ValueId id) const {
    const Node* producer = id == kNone ? nullptr : graph_.producer(id);
    if (producer == nullptr || producer->op != Op::Reshape) return std::nullopt;
    return places_in(shape_of(producer->inputs[0]), shape_of(id));
  }

  // Two reshapes in a row are one, or none when they undo each other.
  void join_reshapes(NodeId id) {
    const Node* before = graph_.producer(graph_.node(id).inputs[0]);
    if (before == nullptr || before->op != Op::Reshape) return;
    const ValueId source = before->inputs[0];
    const ValueId result = graph_.node(id).outputs[0];
    if (shape_of(source) != shape_of(result)) {
      graph_.node(id).inputs = {source};
      return;
    }
    graph_.replace_uses(result, source);
    graph_.erase_node(id);
  }

  // A convolution: the sum or the function behind it is part of its epilogue.
  [[nodiscard]] bool is_of_layer(ValueId narrow) const {
    const Node* layer = graph_.producer(graph_.producer(narrow)->inputs[0]);
    return layer != nullptr && layer->op == Op::Convolution;
  }

  // `node` gives the narrow form of an image, and computing it on images moves no large operand.
  [[nodiscard]] bool fits(const Node& node, const Dims& places, bool any_operand) const {
    const Shape& result = shape_of(node.outputs[0]);
    const auto operand_fits = [&](ValueId id) {
      if (id == kNone) return true;
      const Shape& shape = shape_of(id);
      if (shape.size() > places.size()) return false;
      if (graph_.value(id).is_constant() || narrowed(id) == places) {
        return node.op != Op::Concat || shape.size() == places.size();
      }
      return node.op != Op::Concat && (any_operand || numel(shape) < numel(result));
    };
    return result.size() == places.size() && std::ranges::all_of(node.inputs, operand_fits);
  }

  // `id` under another shape of as many elements.
  [[nodiscard]] ValueId reshaped(NodeId before, ValueId id, const Shape& shape) {
    const Value value = graph_.value(id);
    const std::string name = str(value.name, ".image", graph_.value_count());
    const TensorType type{value.type.dtype, shape};
    if (value.is_constant()) {
      const ValueId constant = graph_.add_constant(name, type, value.data);
      graph_.value(constant).quant = value.quant;
      return constant;
    }
    Attributes attrs;
    attrs.set("shape", shape);
    const NodeId node =
        graph_.insert_node(before, Op::Reshape, name, {id}, {type}, std::move(attrs));
    return graph_.node(node).outputs[0];
  }

  [[nodiscard]] ValueId wide_operand(NodeId before, ValueId id, const Dims& places) {
    if (id == kNone) return id;
    if (narrowed(id) == places) return graph_.producer(id)->inputs[0];
    if (numel(shape_of(id)) == 1 && graph_.node(before).op != Op::Concat) return id;
    return reshaped(before, id, widened(shape_of(id), places));
  }

  // The node `id`, whose operands are `inputs` now, on images.
  [[nodiscard]] ValueId wide_form(NodeId id, std::vector<ValueId> inputs, const Dims& places) {
    const Node node = graph_.node(id);
    Attributes attrs = node.attrs;
    if (node.op == Op::Concat)
      attrs.set("dim", places[static_cast<std::size_t>(node.attrs.integer("dim"))]);
    if (node.op == Op::Permute)
      attrs.set("dims", widened_permutation(node.attrs.integers("dims"), places));
    const TensorType& type = graph_.value(node.outputs[0]).type;
    const NodeId wide =
        graph_.insert_node(id, node.op, node.name + ".image", std::move(inputs),
                           {{type.dtype, widened(type.shape, places)}}, std::move(attrs));
    graph_.node(wide).target = node.target;
    graph_.node(wide).origin = node.origin;
    return graph_.node(wide).outputs[0];
  }

  // What is computed from the narrow form of an image is computed from the image, and made narrow
  // behind it.
  void sink(NodeId id) {
    const Node node = graph_.node(id);
    const auto narrow = std::ranges::find_if(
        node.inputs, [&](ValueId input) { return narrowed(input).has_value(); });
    if (narrow == node.inputs.end()) return;
    const Dims places = *narrowed(*narrow);
    if (!fits(node, places, is_of_layer(*narrow))) return;
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) inputs.push_back(wide_operand(id, input, places));
    const ValueId wide = wide_form(id, std::move(inputs), places);
    const ValueId result = node.outputs[0];
    const ValueId narrowed_again = reshaped(id, wide, Shape(shape_of(result)));
    graph_.value(narrowed_again).name = node.name;
    graph_.replace_uses(result, narrowed_again);
    graph_.erase_node(id);
  }

  // A reduction along [N, C, W]'s last dimension is one over the image's last two.
  void sink_reduction(NodeId id) {
    const Node node = graph_.node(id);
    const Dims& places = narrow_forms()[0];
    if (node.outputs.size() != 1 || narrowed(node.inputs[0]) != places ||
        node.attrs.integers("dims") != Dims{2}) {
      return;
    }
    const bool keeps_rank = node.attrs.boolean("keepdim");
    const TensorType type = graph_.value(node.outputs[0]).type;
    Attributes attrs = node.attrs;
    attrs.set("dims", Dims{2, 3});
    const Shape shape = keeps_rank ? widened(type.shape, places) : type.shape;
    const NodeId reduced = graph_.insert_node(id, node.op, node.name + ".image",
                                              {graph_.producer(node.inputs[0])->inputs[0]},
                                              {{type.dtype, shape}}, std::move(attrs));
    graph_.node(reduced).target = node.target;
    graph_.node(reduced).origin = node.origin;
    const ValueId result = graph_.node(reduced).outputs[0];
    graph_.replace_uses(node.outputs[0], keeps_rank ? reshaped(id, result, type.shape) : result);
    graph_.erase_node(id);
  }

  // What is computed for the image alone is computed on images.
  void raise(NodeId reshape) {
    while (true) {
      join_reshapes(reshape);
      if (graph_.node(reshape).dead) return;
      const ValueId result = graph_.node(reshape).outputs[0];
      const ValueId narrow = graph_.node(reshape).inputs[0];
      const auto places = places_in(shape_of(result), shape_of(narrow));
      const NodeId id = graph_.value(narrow).producer;
      if (!places || id == kNone || !is_sinkable(id) || graph_.node(id).inputs.size() != 1) return;
      const ValueId operand = graph_.node(id).inputs[0];
      if (graph_.value(operand).is_constant() || graph_.users(narrow).size() != 1 ||
          graph_.is_output(narrow)) {
        return;
      }
      const ValueId image = reshaped(id, operand, widened(shape_of(operand), *places));
      graph_.replace_uses(result, wide_form(id, {image}, *places));
      graph_.erase_node(reshape);
      graph_.erase_node(id);
      reshape = graph_.value(image).producer;
    }
  }

  Graph& graph_;
};

}  // namespace

Status sink_reshapes(Graph& graph) { return ReshapeSinker(graph).run(); }

}  // namespace enn

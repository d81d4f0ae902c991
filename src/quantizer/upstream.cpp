#include "quantizer/upstream.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "ops/import.hpp"

namespace enn {
namespace {

enum class Rule : std::uint8_t {
  Pair,
  PairShared,
  Add,
  Single,
  SingleShared,
  Softmax,
  Index,
  IndexPut,
  Unbind,
  Weighted,
  Embedding,
  Concat,
  Norm,
  GroupNorm,
  BatchNorm,
  Sigmoid,
};

struct Row {
  std::string_view target;
  Rule rule;
};

constexpr auto kRows = std::to_array<Row>({
#define ENN_UPSTREAM(target, rule) {target, Rule::rule},
#include "quantizer/upstream.def"
#undef ENN_UPSTREAM
});

const Row* row_of(std::string_view target) {
  static const auto* const rows = [] {
    auto* map = new std::unordered_map<std::string_view, const Row*>;
    for (const Row& row : kRows) map->emplace(row.target, &row);
    return map;
  }();
  const auto found = rows->find(target);
  return found == rows->end() ? nullptr : found->second;
}

template <std::size_t N>
bool is_one_of(const std::string& target, const std::array<std::string_view, N>& targets) {
  return std::ranges::find(targets, target) != targets.end();
}

constexpr std::array<std::string_view, 2> kAdds{"aten.add.Tensor", "aten.add_.Tensor"};
constexpr std::array<std::string_view, 2> kHardtanhs{"aten.hardtanh.default",
                                                     "aten.hardtanh_.default"};
constexpr std::array<std::string_view, 4> kRelus{"aten.relu.default", "aten.relu_.default",
                                                 "aten.relu6.default", "aten.relu6_.default"};
constexpr std::array<std::string_view, 3> kWeighted{"aten.conv1d.default", "aten.conv2d.default",
                                                    "aten.linear.default"};

class Annotator {
 public:
  Annotator(const Graph& graph, const QuantizationConfig& config)
      : graph_(graph), config_(config), annotations_(graph) {}

  Annotations run() {
    for (const NodeId id : graph_.order()) annotate_fused_activation(id);
    for (const ValueId id : graph_.inputs()) {
      if (is_float(id)) annotations_.set_input(id, config_.activation);
    }
    for (const NodeId id : graph_.order()) annotate(id);
    return std::move(annotations_);
  }

 private:
  // The tensor that is the i-th argument of the call, the first one of a list; kNone otherwise.
  [[nodiscard]] ValueId operand(NodeId id, std::size_t i) const {
    const std::vector<ValueId> all = operands(id, i);
    return all.empty() ? kNone : all.front();
  }

  [[nodiscard]] std::vector<ValueId> operands(NodeId id, std::size_t i) const {
    const Node& node = graph_.node(id);
    const std::vector<std::int64_t> counts = node.attrs.integers(kTensorsOfArguments);
    if (i >= counts.size()) return {};
    std::ptrdiff_t begin = 0;
    for (std::size_t k = 0; k < i; ++k) begin += counts[k];
    const auto first = node.inputs.begin() + begin;
    return {first, first + counts[i]};
  }

  [[nodiscard]] bool is_float(ValueId id) const {
    if (id == kNone) return false;
    const DType dtype = graph_.value(id).type.dtype;
    return dtype == DType::Float32 || dtype == DType::Float16;
  }

  [[nodiscard]] ValueId result(NodeId id) const { return graph_.node(id).outputs.front(); }

  // The call that gives `id`, or kNone for a graph input or a constant.
  [[nodiscard]] NodeId producer(ValueId id) const {
    return id == kNone ? kNone : graph_.value(id).producer;
  }

  // The value of the nearest annotated call on the way up along first arguments, from `id` on.
  [[nodiscard]] ValueId annotated_ancestor(ValueId id) const {
    for (NodeId node = producer(id); node != kNone; node = producer(operand(node, 0))) {
      if (annotations_.annotated(node)) return result(node);
    }
    return kNone;
  }

  static void set(Annotation& annotation, ValueId id, const Spec& spec) {
    for (auto& [value, present] : annotation.inputs) {
      if (value == id) {
        present = spec;
        return;
      }
    }
    annotation.inputs.emplace_back(id, spec);
  }

  void annotate_fused_activation(NodeId id) {
    const Node& node = graph_.node(id);
    const bool hardtanh = is_one_of(node.target, kHardtanhs) && node.attrs.has("min_val") &&
                          node.attrs.number("min_val") == 0.0;
    if (!hardtanh && !is_one_of(node.target, kRelus)) return;
    const ValueId input = operand(id, 0);
    const NodeId before = producer(input);
    if (before == kNone || !is_one_of(graph_.node(before).target, kWeighted)) return;
    if (graph_.users(input).size() != 1 || graph_.is_output(input)) return;
    Annotation annotation;
    set(annotation, operand(before, 0), config_.activation);
    set(annotation, operand(before, 1), config_.weight);
    annotations_.set(before, std::move(annotation));
    annotations_.set(id, {.inputs = {}, .output = config_.activation});
  }

  void annotate(NodeId id) {
    const Row* row = row_of(graph_.node(id).target);
    if (row == nullptr) return;
    if (row->rule == Rule::IndexPut) return annotate_index_put(id);
    if (annotations_.annotated(id)) return;
    switch (row->rule) {
      case Rule::Norm:
        return annotate_norm(id, 2, config_.activation);
      case Rule::GroupNorm:
        return annotate_norm(id, 2, config_.weight);
      case Rule::BatchNorm:
        return annotate_norm(id, 1, config_.activation);
      case Rule::Weighted:
        return annotate_weighted(id);
      default:
        if (is_float(operand(id, 0))) annotate_float(id, row->rule);
    }
  }

  void annotate_float(NodeId id, Rule rule) {
    switch (rule) {
      case Rule::Pair:
        return annotate_pair(id);
      case Rule::PairShared:
        return operand(id, 1) == kNone ? annotate_pair(id) : annotate_all_shared(id, false);
      case Rule::Add:
        return annotate_add(id);
      case Rule::Single:
        return annotations_.set(
            id, {.inputs = {{operand(id, 0), config_.activation}}, .output = config_.activation});
      case Rule::SingleShared:
        return annotate_single_shared(id);
      case Rule::Softmax:
        return annotate_softmax(id);
      case Rule::Index:
        return annotate_index(id);
      case Rule::Unbind:
        return annotate_unbind(id);
      case Rule::Embedding:
        return share_first(id, operand(id, 0));
      case Rule::Concat:
        return annotate_all_shared(id, true);
      case Rule::Sigmoid:
        return annotate_sigmoid(id);
      default:
        return;
    }
  }

  void annotate_pair(NodeId id) {
    Annotation annotation;
    for (const std::size_t i : {0U, 1U}) {
      if (is_float(operand(id, i))) set(annotation, operand(id, i), config_.activation);
    }
    if (is_float(result(id))) annotation.output = config_.activation;
    annotations_.set(id, std::move(annotation));
  }

  // All operands, or the list that is the first one, have the spec of the first.
  void annotate_all_shared(NodeId id, bool list) {
    std::vector<ValueId> all = operands(id, 0);
    if (!list) all.push_back(operand(id, 1));
    const SharedSpec shared{all.front(), id};
    Annotation annotation;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool first = all[i] == all.front();
      set(annotation, all[i], first ? Spec(config_.activation) : Spec(shared));
    }
    annotation.output = shared;
    annotations_.set(id, std::move(annotation));
  }

  [[nodiscard]] bool keeps_adds_apart(ValueId id) const {
    const NodeId before = producer(id);
    if (before == kNone) return false;
    const std::string& target = graph_.node(before).target;
    return target == "aten.dropout.default" || is_one_of(target, kAdds);
  }

  void annotate_add(NodeId id) {
    const ValueId a = operand(id, 0);
    const ValueId b = operand(id, 1);
    if (b != kNone) {
      const bool apart = keeps_adds_apart(a) || keeps_adds_apart(b);
      return apart ? annotate_pair(id) : annotate_all_shared(id, false);
    }
    const AttributeValue* other = graph_.node(id).attrs.find("other");
    const bool real = other != nullptr && std::holds_alternative<double>(*other);
    if (!real || annotated_ancestor(a) != kNone) annotate_pair(id);
  }

  // `operand` has the activation spec and the result shares it.
  void share_first(NodeId id, ValueId operand) {
    annotations_.set(
        id, {.inputs = {{operand, config_.activation}}, .output = SharedSpec{operand, id}});
  }

  void annotate_single_shared(NodeId id) {
    const ValueId ancestor = annotated_ancestor(operand(id, 0));
    if (ancestor == kNone) return share_first(id, operand(id, 0));
    annotations_.set(id, {.inputs = {{ancestor, SharedSpec{ancestor, kNone}}},
                          .output = SharedSpec{ancestor, id}});
  }

  void annotate_softmax(NodeId id) {
    const ValueId input = operand(id, 0);
    const NodeId before = producer(input);
    if (before != kNone && is_one_of(graph_.node(before).target, kAdds)) annotations_.clear(before);
    Annotation annotation;
    const ValueId ancestor = annotated_ancestor(input);
    if (ancestor != kNone) set(annotation, ancestor, SharedSpec{ancestor, kNone});
    annotation.output = config_.activation;
    annotations_.set(id, std::move(annotation));
  }

  void annotate_index(NodeId id) {
    if (annotated_ancestor(operand(id, 0)) != kNone) share_first(id, operand(id, 0));
  }

  void annotate_index_put(NodeId id) {
    if (operand(id, 2) != kNone) share_first(id, operand(id, 2));
  }

  void annotate_unbind(NodeId id) {
    const SharedSpec shared{operand(id, 0), id};
    annotations_.set(id, {.inputs = {{operand(id, 0), config_.activation}}, .output = shared});
    for (const NodeId user : graph_.users(result(id))) {
      annotations_.set(user, {.inputs = {}, .output = shared});
    }
  }

  void annotate_weighted(NodeId id) {
    if (!is_float(operand(id, 1))) return;
    const ValueId ancestor = annotated_ancestor(operand(id, 0));
    Annotation annotation;
    set(annotation, operand(id, 0),
        ancestor == kNone ? Spec(config_.activation) : Spec(SharedSpec{ancestor, kNone}));
    set(annotation, operand(id, 1), config_.weight);
    annotation.output = config_.activation;
    annotations_.set(id, std::move(annotation));
  }

  void annotate_norm(NodeId id, std::size_t weight, const QuantizationSpec& weight_spec) {
    Annotation annotation;
    set(annotation, operand(id, 0), config_.activation);
    if (operand(id, weight) != kNone) set(annotation, operand(id, weight), weight_spec);
    annotation.output = config_.activation;
    annotations_.set(id, std::move(annotation));
  }

  // 127/256 is the largest number that this range holds.
  void annotate_sigmoid(NodeId id) {
    if (!is_float(result(id))) return;
    const QuantizationSpec& activation = config_.activation;
    const FixedQParamsSpec output{.dtype = activation.dtype,
                                  .scale = 1.0 / (activation.quant_max - activation.quant_min + 1),
                                  .zero_point = 0,
                                  .quant_min = activation.quant_min,
                                  .quant_max = activation.quant_max};
    annotations_.set(id, {.inputs = {{operand(id, 0), activation}}, .output = output});
  }

  const Graph& graph_;
  const QuantizationConfig& config_;
  Annotations annotations_;
};

}  // namespace

Annotations annotate_as_upstream(const Graph& calls, const QuantizationConfig& config) {
  return Annotator(calls, config).run();
}

}  // namespace enn

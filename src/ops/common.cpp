#include "ops/common.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "ops/evaluate.hpp"
#include "ops/fusion.hpp"
#include "ops/masks.hpp"

namespace enn {

const Argument* Arguments::find(std::string_view name) const {
  for (const auto& [key, value] : call_.arguments) {
    if (key == name) return std::holds_alternative<std::monostate>(value) ? nullptr : &value;
  }
  return nullptr;
}

Status Arguments::wrong(std::string_view name, std::string_view expected) const {
  return error(Code::InvalidArgument, "node '", call_.name, "' (", call_.target, "): argument '",
               name, "' must be ", expected);
}

Result<ValueId> Arguments::optional_tensor(std::string_view name) const {
  const Argument* found = find(name);
  if (found == nullptr) return ValueId{kNone};
  const auto* tensor = std::get_if<TensorArgument>(found);
  if (tensor == nullptr) return wrong(name, "a tensor");
  return ValueId{tensor->id};
}

Result<ValueId> Arguments::tensor(std::string_view name) const {
  ENN_ASSIGN(const ValueId id, optional_tensor(name));
  if (id == kNone) return wrong(name, "given");
  return ValueId{id};
}

Result<std::vector<ValueId>> Arguments::tensors(std::string_view name) const {
  const Argument* found = find(name);
  const auto* list = found != nullptr ? std::get_if<std::vector<TensorArgument>>(found) : nullptr;
  if (list == nullptr) return wrong(name, "a list of tensors");
  std::vector<ValueId> ids;
  for (const TensorArgument& item : *list) ids.push_back(item.id);
  return ids;
}

Result<std::int64_t> Arguments::integer(std::string_view name,
                                        std::optional<std::int64_t> otherwise) const {
  const Argument* found = find(name);
  if (found == nullptr && otherwise) return std::int64_t{*otherwise};
  const auto* value = found != nullptr ? std::get_if<std::int64_t>(found) : nullptr;
  if (value == nullptr) return wrong(name, "an integer");
  return std::int64_t{*value};
}

Result<double> Arguments::number(std::string_view name, std::optional<double> otherwise) const {
  const Argument* found = find(name);
  if (found == nullptr && otherwise) return double{*otherwise};
  if (found != nullptr) {
    if (const auto* real = std::get_if<double>(found)) return double{*real};
    if (const auto* integer = std::get_if<std::int64_t>(found))
      return static_cast<double>(*integer);
  }
  return wrong(name, "a number");
}

Result<bool> Arguments::boolean(std::string_view name, bool otherwise) const {
  const Argument* found = find(name);
  if (found == nullptr) return bool{otherwise};
  if (const auto* flag = std::get_if<bool>(found)) return bool{*flag};
  return wrong(name, "a boolean");
}

Result<std::string> Arguments::text(std::string_view name, std::string_view otherwise) const {
  const Argument* found = find(name);
  if (found == nullptr) return std::string(otherwise);
  if (const auto* text = std::get_if<std::string>(found)) return std::string(*text);
  return wrong(name, "a name");
}

Result<std::vector<std::int64_t>> Arguments::integers(std::string_view name) const {
  const Argument* found = find(name);
  if (found == nullptr) return std::vector<std::int64_t>{};
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(found)) return std::vector(*list);
  if (const auto* one = std::get_if<std::int64_t>(found)) return std::vector<std::int64_t>{*one};
  // An empty list has no element type; the caller may have sent it as any kind of list.
  if (const auto* empty = std::get_if<std::vector<double>>(found);
      empty != nullptr && empty->empty()) {
    return std::vector<std::int64_t>{};
  }
  if (const auto* empty = std::get_if<std::vector<TensorArgument>>(found);
      empty != nullptr && empty->empty()) {
    return std::vector<std::int64_t>{};
  }
  return wrong(name, "a list of integers");
}

Result<std::vector<std::int64_t>> Arguments::expanded(std::string_view name, std::size_t count,
                                                      std::vector<std::int64_t> otherwise) const {
  ENN_ASSIGN(auto list, integers(name));
  if (list.empty()) return std::vector(std::move(otherwise));
  if (list.size() == 1) list.resize(count, list.front());
  if (list.size() != count) return wrong(name, str("a list of ", count, " integers"));
  return std::vector(std::move(list));
}

NodeId add_call(Graph& graph, const Call& call, Op op, std::vector<ValueId> inputs,
                Attributes attrs) {
  const NodeId id =
      graph.add_node(op, call.name, std::move(inputs), call.results, std::move(attrs));
  graph.node(id).target = call.target;
  graph.node(id).origin = call.origin;
  return id;
}

ValueId add_float_constant(Graph& graph, std::string name, Shape shape,
                           std::span<const float> values) {
  std::vector<std::byte> bytes(values.size_bytes());
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return graph.add_constant(std::move(name), {DType::Float32, std::move(shape)},
                            std::make_shared<const std::vector<std::byte>>(std::move(bytes)));
}

Result<std::int64_t> normalized_dim(std::int64_t dim, std::size_t rank) {
  const auto signed_rank = std::max<std::int64_t>(static_cast<std::int64_t>(rank), 1);
  if (dim < -signed_rank || dim >= signed_rank) {
    return error(Code::InvalidArgument, "dimension ", dim, " is out of range for rank ", rank);
  }
  return std::int64_t{dim < 0 ? dim + signed_rank : dim};
}

Result<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) {
      return error(Code::InvalidGraph, "shapes ", list_str(a), " and ", list_str(b),
                   " do not broadcast");
    }
    out[out.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return Shape(std::move(out));
}

namespace {

// What is known about the values that were asked for and what they are computed from.
struct ConstantExpressions {
  explicit ConstantExpressions(const Graph& /*graph*/) {}
  std::unordered_map<ValueId, bool> known;
};

}  // namespace

bool is_constant_expression(const Graph& graph, ValueId id) {
  if (id == kNone) return false;
  const auto expressions = graph.analysis<ConstantExpressions>();
  std::unordered_map<ValueId, bool>& known = expressions->known;
  // A value is decided after the operands of its producer, which support rules may ask for again.
  std::vector<ValueId> pending{id};
  while (!pending.empty()) {
    const ValueId value = pending.back();
    const Node* producer = graph.producer(value);
    if (known.contains(value) || producer == nullptr || !is_evaluable(graph, *producer)) {
      known.try_emplace(value, producer == nullptr && graph.value(value).is_constant());
      pending.pop_back();
      continue;
    }
    bool constant = true;
    const std::size_t before = pending.size();
    for (const ValueId input : producer->inputs) {
      if (input == kNone) continue;
      const auto found = known.find(input);
      if (found == known.end()) pending.push_back(input);
      constant = constant && (found == known.end() || found->second);
    }
    if (!constant) {
      pending.resize(before - 1);
      known.emplace(value, false);
    } else if (pending.size() == before) {
      pending.pop_back();
      known.emplace(value, !unsupported_reason(graph, *producer).has_value());
    }
  }
  return known.at(id);
}

std::int64_t window_output_size(std::int64_t input, std::int64_t kernel, std::int64_t stride,
                                std::int64_t pad_begin, std::int64_t pad_end, std::int64_t dilation,
                                bool ceil_mode) {
  const std::int64_t span = input + pad_begin + pad_end - dilation * (kernel - 1) - 1;
  if (span < 0) return 0;
  std::int64_t size = (span + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // With ceil_mode a last window that would start in the padding behind the input is dropped.
  if (ceil_mode && (size - 1) * stride >= input + pad_begin) --size;
  return size;
}

std::optional<std::string> dtype_reason(const Graph& graph, const Node& node,
                                        std::span<const DType> allowed) {
  const auto taken = [&](ValueId id) {
    if (id == kNone) return true;
    const DType dtype = graph.value(id).type.dtype;
    const DType widened = dtype == DType::Float16 ? DType::Float32 : dtype;
    return std::find(allowed.begin(), allowed.end(), widened) != allowed.end();
  };
  for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      if (!taken(id)) {
        return str("it works on ", to_string(graph.value(id).type.dtype), ", which ",
                   to_string(node.op), " does not take");
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> move_reason(const Graph& graph, const Node& node) {
  constexpr std::size_t kLargestRank = 8;  // of a program's tensors
  for (const std::vector<ValueId>* ids : {&node.inputs, &node.outputs}) {
    for (const ValueId id : *ids) {
      const std::size_t rank = id == kNone ? 0 : graph.value(id).type.shape.size();
      if (rank > kLargestRank) return str("rank ", rank, " is above ", kLargestRank);
    }
  }
  return dtype_reason(graph, node, kElementTypes);
}

Attributes internal_attributes() {
  Attributes attrs;
  attrs.set("internal", true);
  return attrs;
}

bool is_internal(const Node& node) { return node.attrs.boolean("internal"); }

ValueId internal_value(Graph& graph, Op op, std::string name, std::vector<ValueId> inputs,
                       TensorType type, Attributes attrs) {
  const NodeId node =
      graph.add_node(op, std::move(name), std::move(inputs), {std::move(type)}, std::move(attrs));
  return graph.node(node).outputs[0];
}

bool is_float_value(const Graph& graph, ValueId id) {
  if (id == kNone) return false;
  const DType dtype = graph.value(id).type.dtype;
  return dtype == DType::Float32 || dtype == DType::Float16;
}

bool moves_one(const Graph& graph, const Node& node) {
  const auto floats =
      std::ranges::count_if(node.inputs, [&](ValueId id) { return is_float_value(graph, id); });
  return floats == 1 && is_float_value(graph, node.inputs[0]) && moves_elements(graph, node);
}

bool is_elementwise(Op op) { return family(op) == "unary" || family(op) == "binary"; }

namespace {

// Specs for the float operands and none for the result; nothing where the node computes no floats
// from floats.
std::optional<Annotation> operand_specs(const Graph& graph, NodeId id,
                                        const QuantizationConfig& config) {
  const Node& node = graph.node(id);
  if (!is_float_value(graph, node.inputs.front()) || !is_float_value(graph, node.outputs.front()))
    return std::nullopt;
  Annotation annotation;
  for (const ValueId operand : node.inputs) {
    if (is_float_value(graph, operand)) annotation.inputs.emplace_back(operand, config.activation);
  }
  return annotation;
}

}  // namespace

void annotate_output(const Graph& graph, NodeId node, Annotation annotation,
                     const QuantizationConfig& config, Annotations& annotations) {
  const std::vector<NodeId> followers = fused_followers(graph, node);
  for (const NodeId follower : followers) annotations.set(follower, {});
  const auto quantized = [&](NodeId id) { return annotations.excluded_by(id).empty(); };
  // Of two layers that are added, the first adds.
  const auto fuses = [&](const FusedSum& sum) {
    return sum.sum != kNone && !annotations.annotated(sum.sum) && quantized(sum.sum) &&
           quantized(node) && std::ranges::all_of(followers, quantized) &&
           !holds_masks(graph, graph.node(sum.sum).outputs[0]);
  };
  // torchao's training has no such pattern: it would look for a quantized layer.
  const FusedSum residual =
      config.is_qat ? FusedSum() : residual_sum_of(graph, node).value_or(FusedSum());
  const FusedSum affine = affine_sum_of(graph, node).value_or(FusedSum());
  if (fuses(residual)) {
    annotate_output(graph, residual.sum,
                    {.inputs = {{residual.operand, config.activation}}, .output = {}}, config,
                    annotations);
  } else if (fuses(affine)) {
    annotate_output(graph, affine.sum, {}, config, annotations);
    std::erase_if(annotation.inputs,
                  [&](const auto& input) { return is_constant_expression(graph, input.first); });
  } else if (followers.empty()) {
    annotation.output = config.activation;
  } else {
    const Op last = graph.node(followers.back()).op;
    annotations.set(followers.back(), {.inputs = {}, .output = result_spec(last, config)});
  }
  annotations.set(node, std::move(annotation));
}

void annotate_operands(const Graph& graph, NodeId node, const QuantizationConfig& config,
                       Annotations& annotations) {
  if (auto annotation = operand_specs(graph, node, config))
    annotations.set(node, *std::move(annotation));
}

void annotate_all(const Graph& graph, NodeId node, const QuantizationConfig& config,
                  Annotations& annotations) {
  auto annotation = operand_specs(graph, node, config);
  if (!annotation) return;
  annotation->output = config.activation;
  annotations.set(node, *std::move(annotation));
}

void annotate_first(const Graph& graph, NodeId node, const QuantizationConfig& config,
                    Annotations& annotations) {
  const ValueId input = graph.node(node).inputs.front();
  if (!is_float_value(graph, input)) return;
  annotate_output(graph, node, {.inputs = {{input, config.activation}}, .output = {}}, config,
                  annotations);
}

FixedQParamsSpec unit_interval_spec(const QuantizationConfig& config) {
  const QuantizationSpec& activation = config.activation;
  return {.dtype = activation.dtype,
          .scale = 1.0 / (activation.quant_max - activation.quant_min),
          .zero_point = activation.quant_min,
          .quant_min = activation.quant_min,
          .quant_max = activation.quant_max};
}

Spec result_spec(Op op, const QuantizationConfig& config) {
  if (op == Op::Sigmoid) return unit_interval_spec(config);
  return config.activation;
}

void annotate_shared(const Graph& graph, NodeId node, const QuantizationConfig& config,
                     Annotations& annotations) {
  const Node& n = graph.node(node);
  const ValueId first = n.inputs.front();
  if (!is_float_value(graph, first) || !is_float_value(graph, n.outputs.front())) return;
  Annotation annotation;
  const SharedSpec shared{first, node};
  for (const ValueId id : n.inputs) {
    if (!is_float_value(graph, id)) continue;
    annotation.inputs.emplace_back(id, id == first ? Spec(config.activation) : Spec(shared));
  }
  annotation.output = shared;
  annotations.set(node, std::move(annotation));
}

}  // namespace enn

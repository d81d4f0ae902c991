#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "compiler/passes/passes.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/evaluate.hpp"
#include "ops/fusion.hpp"
#include "ops/ops.hpp"
#include "ops/program_builder.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

bool is_byte(DType dtype) { return dtype == DType::Int8 || dtype == DType::UInt8; }

class QdqFolder {
 public:
  explicit QdqFolder(Graph& graph) : graph_(graph) {}

  Status run() {
    hoist_quantize();
    ENN_TRY(attach_quantization(graph_));
    const std::vector<NodeId> order = graph_.order();
    position_.resize(graph_.node_count());
    for (std::size_t i = 0; i < order.size(); ++i) position_[order[i]] = i;
    for (const NodeId id : order) {
      if (graph_.node(id).dead) continue;
      if (graph_.node(id).op == Op::Quantize) {
        ENN_ASSIGN(const bool folded, fold_elementwise(id));
        if (!folded) fold_requantize(id);
      } else if (const Traits rules = traits(graph_, graph_.node(id));
                 rules.quantized != QuantizedForm::None) {
        ENN_ASSIGN(const bool folded, fold_sum(id));
        if (!folded && !fold_function(id)) {
          ENN_TRY(fold_concatenated_channels(id));
          fold_operator(id, rules.quantized);
        }
      }
    }
    graph_.erase_unused();
    return {};
  }

 private:
  // Quantizing and moving commute too: quantize(move(x)) becomes move(quantize(x)), so that the
  // quantize stands behind the operator that computes x.
  void hoist_quantize() {
    for (const NodeId id : graph_.order()) {
      if (graph_.node(id).op != Op::Quantize || graph_.node(id).attrs.has("axis")) continue;
      NodeId quantize = id;
      while (true) {
        const ValueId moved = graph_.node(quantize).inputs[0];
        const NodeId move = graph_.value(moved).producer;
        if (move == kNone || graph_.users(moved).size() != 1 || graph_.is_output(moved)) break;
        const Node moving = graph_.node(move);
        if (!moves_one_operand(moving) || moving.outputs.size() != 1 ||
            !moves_elements(graph_, moving)) {
          break;
        }
        // What the compiler does not compute would be quantized in every run.
        const Value& source = graph_.value(moving.inputs[0]);
        if (source.is_constant()) break;
        // A view of an input costs nothing, and the quantize behind it permutes an image as it
        // goes.
        if (source.producer == kNone && moving.op == Op::Reshape) break;
        Node& last = graph_.node(quantize);
        const TensorType type{graph_.value(last.outputs[0]).type.dtype,
                              graph_.value(moving.inputs[0]).type.shape};
        const NodeId hoisted =
            graph_.insert_node(move, Op::Quantize, str(moving.name, ".quantized"),
                               {moving.inputs[0]}, {type}, last.attrs);
        Node& now_moves = graph_.node(quantize);
        now_moves.op = moving.op;
        now_moves.attrs = moving.attrs;
        now_moves.attrs.erase("dtype");
        now_moves.origin = moving.origin;
        now_moves.inputs = moving.inputs;
        now_moves.inputs[0] = graph_.node(hoisted).outputs[0];
        graph_.value(now_moves.outputs[0]).quant =
            quant_params(graph_, graph_.node(hoisted)).value();
        graph_.erase_node(move);
        quantize = hoisted;
      }
    }
  }

  [[nodiscard]] bool is_index(ValueId id) const {
    if (id == kNone) return false;
    const DType dtype = graph_.value(id).type.dtype;
    return dtype == DType::Int32 || dtype == DType::Int64;
  }

  // Its first operand is what it moves; any others say where to.
  [[nodiscard]] bool moves_one_operand(const Node& node) const {
    return std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                       [&](ValueId id) { return id == kNone || is_index(id); });
  }

  // The quantized value behind `id` when `id` is its dequantized form, else kNone.
  [[nodiscard]] ValueId quantized_source(ValueId id) const {
    const Node* producer = graph_.producer(id);
    if (producer == nullptr || producer->op != Op::Dequantize) return kNone;
    const ValueId source = producer->inputs[0];
    return graph_.value(source).quant ? source : kNone;
  }

  // quantize(dequantize(x)) is x when nothing changes, else a change of quantization.
  void fold_requantize(NodeId id) {
    const ValueId source = quantized_source(graph_.node(id).inputs[0]);
    if (source == kNone || !graph_.value(source).quant->per_tensor()) return;
    const Value& from = graph_.value(source);
    const ValueId result = graph_.node(id).outputs[0];
    const Value& to = graph_.value(result);
    if (from.type == to.type && *from.quant == *to.quant) {
      graph_.replace_uses(result, source);
      graph_.erase_node(id);
    } else if (to.quant->per_tensor()) {
      graph_.node(id).inputs = {source};
    }
  }

  // The elementwise nodes, two or more, that compute what `quantize` reads from one 8-bit value, in
  // the order of execution, and that value; no nodes when it is computed otherwise.
  struct Function {
    std::vector<NodeId> nodes;
    ValueId source = kNone;
  };
  [[nodiscard]] Function function_before(NodeId quantize) const {
    constexpr std::size_t kMostNodes = 64;
    Function function;
    std::set<NodeId> found;
    std::vector<ValueId> pending{graph_.node(quantize).inputs[0]};
    while (!pending.empty()) {
      const ValueId id = pending.back();
      pending.pop_back();
      if (const ValueId source = quantized_source(id); source != kNone) {
        if (function.source != kNone && function.source != source) return {};
        function.source = source;
        continue;
      }
      const NodeId producer = graph_.value(id).producer;
      if (producer == kNone) return {};
      if (!found.insert(producer).second) continue;
      const std::vector<ValueId> operands = elementwise_operands(graph_, graph_.node(producer));
      if (operands.empty() || graph_.is_output(id) || found.size() > kMostNodes) return {};
      pending.insert(pending.end(), operands.begin(), operands.end());
    }
    for (const NodeId id : found) {
      for (const NodeId user : graph_.users(graph_.node(id).outputs[0])) {
        if (user != quantize && !found.contains(user)) return {};
      }
    }
    if (found.size() < 2) return {};
    function.nodes.assign(found.begin(), found.end());
    std::ranges::sort(function.nodes, {}, [&](NodeId id) { return position_[id]; });
    return function;
  }

  // Elementwise operators from one 8-bit value to another become a table of their results, which
  // are those of the kernels. False where there are none.
  [[nodiscard]] Result<bool> fold_elementwise(NodeId quantize) {
    const Value& result = graph_.value(graph_.node(quantize).outputs[0]);
    if (!result.quant->per_tensor() || !is_byte(result.type.dtype)) return false;
    const Function function = function_before(quantize);
    if (function.nodes.empty()) return false;
    const Value& source = graph_.value(function.source);
    if (source.type != result.type || !source.quant->per_tensor()) return false;
    Graph scratch;
    const auto add = [&](std::string name, Shape shape, ConstantData data) {
      return scratch.add_constant(std::move(name), {DType::Float32, std::move(shape)},
                                  std::move(data));
    };
    const ValueId every = add_float_constant(scratch, "stored", {256},
                                             stored_floats(*source.quant, source.type.dtype));
    std::map<ValueId, ValueId> results;
    for (const NodeId id : function.nodes) {
      const Node& node = graph_.node(id);
      std::vector<ValueId> operands;
      for (const ValueId operand : node.inputs) {
        const Value& value = graph_.value(operand);
        const auto known = results.find(operand);
        operands.push_back(known != results.end() ? known->second
                           : value.is_constant()  ? add(value.name, {1}, value.data)
                                                  : every);
      }
      const NodeId copy = scratch.add_node(node.op, node.name, std::move(operands),
                                           {{DType::Float32, {256}}}, node.attrs);
      ENN_ASSIGN(const std::vector<ConstantData> values, evaluate(scratch, scratch.node(copy)));
      results[node.outputs[0]] = add(node.name + ".results", {256}, values.front());
    }
    const NodeId last = function.nodes.back();
    const ConstantData table = scratch.value(results.at(graph_.node(last).outputs[0])).data;
    const ValueId constant =
        graph_.add_constant(graph_.node(last).name + ".table", {DType::Float32, {256}}, table);
    Node& lut = graph_.node(last);
    lut.op = Op::Lut;
    lut.inputs = {function.source, constant};
    lut.attrs = {};
    take_result(last, quantize);
    return true;
  }

  // A float constant with one element is quantized without error: one step of its own magnitude.
  [[nodiscard]] ValueId quantized_scalar(ValueId id, DType dtype) {
    const Value& value = graph_.value(id);
    if (!value.is_constant() || value.type.dtype != DType::Float32 ||
        numel(value.type.shape) != 1) {
      return kNone;
    }
    float real = 0.0F;
    std::memcpy(&real, value.data->data(), sizeof(real));
    if (!std::isfinite(real)) return kNone;
    QuantParams params;
    params.scales = {real == 0.0F ? 1.0F : std::fabs(real)};
    params.zero_points = {real < 0.0F ? 1 : 0};
    if (dtype == DType::UInt8) {
      params.quant_min = 0;
      params.quant_max = 255;
    }
    const std::byte stored{static_cast<unsigned char>(real > 0.0F ? 1 : 0)};
    const ValueId constant = graph_.add_constant(
        str(value.name, ".quantized", graph_.value_count()), {dtype, value.type.shape},
        std::make_shared<const std::vector<std::byte>>(1, stored));
    graph_.value(constant).quant = std::move(params);
    return constant;
  }

  // The operands of the quantized form, or nothing when the node cannot have it.
  [[nodiscard]] std::vector<ValueId> quantized_operands(const Node& node, DType dtype) {
    std::vector<ValueId> operands;
    const bool weighted = node.op == Op::Convolution || node.op == Op::Linear;
    const std::size_t parameters_from = traits(graph_, node).parameters_from;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      ValueId operand = node.inputs[i];
      if (i < parameters_from && !is_index(operand)) {
        operand = quantized_source(node.inputs[i]);
        if (operand == kNone && node.inputs.size() == 2)
          operand = quantized_scalar(node.inputs[i], dtype);
        if (operand == kNone && node.op == Op::Prelu && i == 1) {
          operands.push_back(node.inputs[i]);  // the kernel takes a float weight
          continue;
        }
        if (operand == kNone) return {};
        const Value& value = graph_.value(operand);
        const bool is_weight = weighted && i == 1;
        if (is_weight && !is_plain_weight(value)) return {};
        if (!is_weight && (value.type.dtype != dtype || !value.quant->per_tensor())) return {};
      }
      operands.push_back(operand);
    }
    return operands;
  }

  // Int8 along the output channels; zero points other than 0 only per tensor.
  static bool is_plain_weight(const Value& value) {
    const QuantParams& quant = *value.quant;
    if (!value.is_constant() || value.type.dtype != DType::Int8) return false;
    if (quant.per_tensor()) return true;
    return quant.axis == 0 && std::all_of(quant.zero_points.begin(), quant.zero_points.end(),
                                          [](std::int32_t z) { return z == 0; });
  }

  // Moving and dequantizing commute: the node moves bytes, and what was its float result is
  // dequantized behind it.
  [[nodiscard]] bool move_before_dequantize(NodeId id) {
    const Node node = graph_.node(id);
    if (!moves_one_operand(node)) return false;
    // A view of a result costs nothing, and the dequantize before it permutes an image as it goes.
    if (node.op == Op::Reshape && graph_.is_output(node.outputs[0])) return false;
    const ValueId source = quantized_source(node.inputs[0]);
    if (source == kNone || !graph_.value(source).quant->per_tensor()) return false;
    const DType dtype = graph_.value(source).type.dtype;
    std::vector<TensorType> types;
    for (const ValueId output : node.outputs) {
      const TensorType& type = graph_.value(output).type;
      types.push_back({is_float(type.dtype) ? dtype : type.dtype, type.shape});
    }
    Attributes attrs = node.attrs;
    attrs.erase("dtype");  // of an identity: the result has the operand's now
    std::vector<ValueId> operands = node.inputs;
    operands[0] = source;
    const NodeId moved = graph_.insert_node(id, node.op, node.name + ".moved", std::move(operands),
                                            types, std::move(attrs));
    graph_.node(moved).name = node.name;
    graph_.node(moved).target = node.target;
    graph_.node(moved).origin = node.origin;
    const QuantParams params = *graph_.value(source).quant;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId quantized = graph_.node(moved).outputs[i];
      if (!is_float(graph_.value(node.outputs[i]).type.dtype)) {  // places of what was moved
        graph_.replace_uses(node.outputs[i], quantized);
        continue;
      }
      graph_.value(quantized).quant = params;
      const NodeId dequantize = graph_.insert_node(
          id, Op::Dequantize, str(node.name, ".dequantized.", i), {quantized},
          {graph_.value(node.outputs[i]).type}, qdq_attributes(params, DType::Float32));
      graph_.replace_uses(node.outputs[i], graph_.node(dequantize).outputs[0]);
    }
    graph_.erase_node(id);
    return true;
  }

  // The quantize node that alone reads the result of `id`, to 8 bits per tensor, or kNone.
  [[nodiscard]] NodeId quantize_behind(NodeId id) const {
    const ValueId real = graph_.node(id).outputs[0];
    const std::vector<NodeId> users = graph_.users(real);
    if (users.size() != 1 || graph_.is_output(real)) return kNone;
    if (graph_.node(users.front()).op != Op::Quantize) return kNone;
    const Value& result = graph_.value(graph_.node(users.front()).outputs[0]);
    return result.quant->per_tensor() && is_byte(result.type.dtype) ? users.front() : kNone;
  }

  // The node gives the result of the quantize node behind it.
  void take_result(NodeId id, NodeId quantize) {
    const ValueId real = graph_.node(id).outputs[0];
    const ValueId result = graph_.node(quantize).outputs[0];
    graph_.node(id).outputs = {result};
    graph_.value(result).producer = id;
    graph_.erase_node(quantize);
    graph_.value(real).producer = quantize;  // the float value is gone with the quantize node
  }

  // The 8-bit value behind `id`, of `dtype` and per tensor, or kNone.
  [[nodiscard]] ValueId quantized_source(ValueId id, DType dtype) const {
    const ValueId source = quantized_source(id);
    if (source == kNone) return kNone;
    const Value& value = graph_.value(source);
    return value.type.dtype == dtype && value.quant->per_tensor() ? source : kNone;
  }

  // The node `last` becomes `op`, which does it ahead of rounding: on `operands`, in place of the
  // node `fused`.
  void fuse(NodeId last, NodeId fused, Op op, std::vector<ValueId> operands, Attributes attrs) {
    Node& node = graph_.node(last);
    for (const auto* bound : {"activation_min", "activation_max"}) {
      if (const AttributeValue* value = node.attrs.find(bound)) attrs.set(bound, *value);
    }
    node.op = op;
    node.target = graph_.node(fused).target;
    node.origin = graph_.node(fused).origin;
    node.inputs = std::move(operands);
    node.attrs = std::move(attrs);
    graph_.erase_node(fused);
  }

  // Gives an addition that is fused with what computes one of its operands (fusion.hpp) its 8-bit
  // form. False when it has none.
  [[nodiscard]] Result<bool> fold_sum(NodeId sum) {
    const NodeId quantize = graph_.node(sum).op == Op::Add ? quantize_behind(sum) : kNone;
    if (quantize == kNone) return false;
    const DType dtype = graph_.value(graph_.node(quantize).outputs[0]).type.dtype;
    for (const ValueId operand : std::vector<ValueId>(graph_.node(sum).inputs)) {
      const NodeId id = graph_.value(operand).producer;
      if (id == kNone) continue;
      const Attributes& attrs = graph_.node(id).attrs;
      if (attrs.has("activation_min") || attrs.has("activation_max")) continue;
      bool folded = false;
      if (const auto residual = residual_sum_of(graph_, id); residual && residual->sum == sum) {
        folded = fold_residual_sum(id, *residual, dtype);
      } else if (adds_constant(sum)) {
        const auto affine = affine_sum_of(graph_, id);
        if (affine && affine->sum == sum) {
          ENN_ASSIGN(folded, fold_affine_sum(id, *affine, dtype));
        }
      }
      if (!folded) continue;
      take_result(sum, quantize);
      return true;
    }
    return false;
  }

  [[nodiscard]] bool adds_constant(NodeId sum) const {
    return std::ranges::any_of(graph_.node(sum).inputs,
                               [&](ValueId id) { return graph_.value(id).is_constant(); });
  }

  bool fold_residual_sum(NodeId layer, const FusedSum& fused, DType dtype) {
    const ValueId residual = quantized_source(fused.operand, dtype);
    std::vector<ValueId> operands = quantized_operands(graph_.node(layer), dtype);
    if (residual == kNone || operands.empty()) return false;
    operands.push_back(residual);
    fuse(fused.sum, layer, graph_.node(layer).op, std::move(operands), graph_.node(layer).attrs);
    return true;
  }

  // Gives a function that is fused with the layer before it (fusion.hpp) its 8-bit form. False when
  // it has none.
  [[nodiscard]] bool fold_function(NodeId id) {
    const Node& function = graph_.node(id);
    if (!is_epilogue_function(function.op)) return false;
    const NodeId layer = graph_.value(function.inputs[0]).producer;
    const NodeId quantize = quantize_behind(id);
    if (layer == kNone || quantize == kNone) return false;
    const std::vector<NodeId> followers = fused_followers(graph_, layer);
    Attributes attrs = graph_.node(layer).attrs;
    if (followers != std::vector{id} || attrs.has("activation_min") || attrs.has("activation_max"))
      return false;
    const DType dtype = graph_.value(graph_.node(quantize).outputs[0]).type.dtype;
    std::vector<ValueId> operands = quantized_operands(graph_.node(layer), dtype);
    if (operands.empty()) return false;
    attrs.set("function", std::string(to_string(function.op)));
    if (function.op == Op::Prelu) {
      const auto slopes = constant_floats(graph_, function.inputs[1]);
      if (!slopes.ok() ||
          !std::ranges::all_of(slopes.value(), [](float x) { return std::isfinite(x); }))
        return false;
      attrs.set("slopes", std::vector<double>(slopes.value().begin(), slopes.value().end()));
    }
    if (function.attrs.has("alpha")) attrs.set("function_alpha", function.attrs.number("alpha"));
    fuse(id, layer, graph_.node(layer).op, std::move(operands), std::move(attrs));
    take_result(id, quantize);
    return true;
  }

  [[nodiscard]] Result<bool> fold_affine_sum(NodeId product, const FusedSum& fused, DType dtype) {
    const std::vector<ValueId> factors = graph_.node(product).inputs;
    const std::size_t constant = graph_.value(factors[0]).is_constant() ? 0 : 1;
    const ValueId input = quantized_source(factors[1 - constant], dtype);
    if (input == kNone || !graph_.value(factors[constant]).is_constant() ||
        !graph_.value(fused.operand).is_constant()) {
      return false;
    }
    const Shape& shape = graph_.value(input).type.shape;
    const std::size_t dim = channel_dim(graph_.value(fused.operand).type.shape, shape).value();
    ENN_ASSIGN(const std::vector<float> scale, constant_floats(graph_, factors[constant]));
    ENN_ASSIGN(const std::vector<float> shift, constant_floats(graph_, fused.operand));
    const std::string name = graph_.node(product).name;
    const Shape channels{shape[dim]};
    Attributes attrs;
    attrs.set("dim", static_cast<std::int64_t>(dim));
    fuse(fused.sum, product, Op::ChannelAffine,
         {input, add_float_constant(graph_, name + ".scale", channels, scale),
          add_float_constant(graph_, name + ".shift", channels, shift)},
         std::move(attrs));
    return true;
  }

  // An affine map of channels that were joined in float, each part with a scale of its own, becomes
  // one of the joined bytes. These are given the scale of the first part, s and z, which for those
  // of scale s' and zero point z' means
  //   a x + b = (a s' / s) (s (q - z)) + b + a s' (z - z')
  Status fold_concatenated_channels(NodeId id) {
    if (graph_.node(id).op != Op::ChannelAffine) return {};
    const Node affine = graph_.node(id);
    const NodeId concat = graph_.value(affine.inputs[0]).producer;
    const NodeId quantize = quantize_behind(id);
    if (concat == kNone || quantize == kNone) return {};
    const Node joining = graph_.node(concat);
    if (joining.op != Op::Concat || joining.attrs.integer("dim") != affine.attrs.integer("dim"))
      return {};
    const DType dtype = graph_.value(graph_.node(quantize).outputs[0]).type.dtype;
    std::vector<ValueId> parts;
    for (const ValueId part : joining.inputs) {
      parts.push_back(quantized_source(part, dtype));
      if (parts.back() == kNone) return {};
    }
    ENN_ASSIGN(std::vector<float> scale, constant_floats(graph_, affine.inputs[1]));
    ENN_ASSIGN(std::vector<float> shift, constant_floats(graph_, affine.inputs[2]));
    const QuantParams common = *graph_.value(parts.front()).quant;
    const auto dim = static_cast<std::size_t>(affine.attrs.integer("dim"));
    std::size_t c = 0;
    for (const ValueId part : parts) {
      const QuantParams& own = *graph_.value(part).quant;
      const auto end = c + static_cast<std::size_t>(graph_.value(part).type.shape[dim]);
      const auto step = static_cast<double>(own.scale());
      for (; c < end; ++c) {
        const double factor = static_cast<double>(scale[c]) * step;
        scale[c] = static_cast<float>(factor / static_cast<double>(common.scale()));
        shift[c] = static_cast<float>(static_cast<double>(shift[c]) +
                                      factor * (common.zero_point() - own.zero_point()));
      }
    }
    const TensorType type = graph_.value(joining.outputs[0]).type;
    const NodeId joined = graph_.insert_node(id, Op::Concat, joining.name + ".bytes", parts,
                                             {{dtype, type.shape}}, joining.attrs);
    graph_.node(joined).target = joining.target;
    graph_.node(joined).origin = joining.origin;
    const ValueId bytes = graph_.node(joined).outputs[0];
    graph_.value(bytes).quant = common;
    const NodeId dequantize =
        graph_.insert_node(id, Op::Dequantize, joining.name + ".dequantized", {bytes}, {type},
                           qdq_attributes(common, type.dtype));
    const Shape channels{static_cast<std::int64_t>(scale.size())};
    graph_.node(id).inputs = {
        graph_.node(dequantize).outputs[0],
        add_float_constant(graph_, affine.name + ".own_scale", channels, scale),
        add_float_constant(graph_, affine.name + ".own_shift", channels, shift)};
    return {};
  }

  void fold_operator(NodeId id, QuantizedForm form) {
    if (form == QuantizedForm::Moves && move_before_dequantize(id)) return;
    const NodeId quantize = quantize_behind(id);
    if (quantize == kNone) return;
    const ValueId result = graph_.node(quantize).outputs[0];
    const QuantParams params = *graph_.value(result).quant;
    std::vector<ValueId> operands =
        quantized_operands(graph_.node(id), graph_.value(result).type.dtype);
    if (operands.empty()) return;
    if (form == QuantizedForm::Moves) {
      for (ValueId& operand : operands) {
        if (!is_index(operand)) operand = requantized(id, operand, params);
      }
    }
    graph_.node(id).inputs = std::move(operands);
    take_result(id, quantize);
  }

  // Attributes of a per-tensor Quantize or Dequantize node with results of `dtype`.
  static Attributes qdq_attributes(const QuantParams& params, DType dtype) {
    Attributes attrs;
    attrs.set("scale", static_cast<double>(params.scale()));
    attrs.set("zero_point", std::int64_t{params.zero_point()});
    attrs.set("quant_min", std::int64_t{params.quant_min});
    attrs.set("quant_max", std::int64_t{params.quant_max});
    attrs.set("dtype", std::string(to_string(dtype)));
    return attrs;
  }

  [[nodiscard]] ValueId requantized(NodeId before, ValueId id, const QuantParams& params) {
    if (*graph_.value(id).quant == params) return id;
    const TensorType type = graph_.value(id).type;
    const std::string name = str(graph_.value(id).name, ".requantized", graph_.value_count());
    const NodeId node = graph_.insert_node(before, Op::Quantize, name, {id}, {type},
                                           qdq_attributes(params, type.dtype));
    const ValueId result = graph_.node(node).outputs[0];
    graph_.value(result).quant = params;
    return result;
  }

  Graph& graph_;
  std::vector<std::size_t> position_;  // in the order of execution, of the nodes from before
};

}  // namespace

Status fold_qdq(Graph& graph) { return QdqFolder(graph).run(); }

}  // namespace enn

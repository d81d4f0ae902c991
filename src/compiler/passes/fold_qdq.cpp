#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "compiler/passes/passes.hpp"
#include "ops/constants.hpp"
#include "ops/fusion.hpp"
#include "ops/ops.hpp"
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
    for (const NodeId id : graph_.order()) {
      if (graph_.node(id).dead) continue;
      if (graph_.node(id).op == Op::Quantize) {
        fold_requantize(id);
      } else if (const Traits rules = traits(graph_, graph_.node(id));
                 rules.quantized != QuantizedForm::None) {
        if (graph_.node(id).op != Op::Add || !fold_residual_sum(id))
          fold_operator(id, rules.quantized);
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
            traits(graph_, moving).quantized != QuantizedForm::Moves) {
          break;
        }
        // What the compiler does not compute would be quantized in every run.
        if (graph_.value(moving.inputs[0]).is_constant()) break;
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
        now_moves.source = moving.source;
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
    graph_.node(moved).source = node.source;
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

  // The layer that computes operand `i` of a sum and for which residual_sum_of() is that sum, or
  // kNone.
  [[nodiscard]] NodeId layer_of_sum(NodeId sum, std::size_t i) const {
    const NodeId layer = graph_.value(graph_.node(sum).inputs[i]).producer;
    if (layer == kNone) return kNone;
    const Attributes& attrs = graph_.node(layer).attrs;
    if (attrs.has("activation_min") || attrs.has("activation_max")) return kNone;
    const auto residual = residual_sum_of(graph_, layer);
    return residual && residual->sum == sum ? layer : kNone;
  }

  // A layer whose result is added to an 8-bit value before it is rounded does that itself. False
  // when the sum is none of these.
  bool fold_residual_sum(NodeId sum) {
    const NodeId quantize = quantize_behind(sum);
    if (quantize == kNone) return false;
    const DType dtype = graph_.value(graph_.node(quantize).outputs[0]).type.dtype;
    for (std::size_t i = 0; i < 2; ++i) {
      const NodeId layer = layer_of_sum(sum, i);
      if (layer == kNone) continue;
      const ValueId residual = quantized_source(graph_.node(sum).inputs[1 - i]);
      if (residual == kNone || graph_.value(residual).type.dtype != dtype ||
          !graph_.value(residual).quant->per_tensor()) {
        continue;
      }
      std::vector<ValueId> operands = quantized_operands(graph_.node(layer), dtype);
      if (operands.empty()) continue;
      operands.push_back(residual);
      Node& node = graph_.node(sum);
      Attributes attrs = graph_.node(layer).attrs;
      for (const auto* bound : {"activation_min", "activation_max"}) {
        if (const AttributeValue* value = node.attrs.find(bound)) attrs.set(bound, *value);
      }
      node.op = graph_.node(layer).op;
      node.target = graph_.node(layer).target;
      node.source = graph_.node(layer).source;
      node.inputs = std::move(operands);
      node.attrs = std::move(attrs);
      graph_.erase_node(layer);
      take_result(sum, quantize);
      return true;
    }
    return false;
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
};

}  // namespace

Status fold_qdq(Graph& graph) { return QdqFolder(graph).run(); }

}  // namespace enn

#include "ops/float_values.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "ops/common.hpp"
#include "ops/fusion.hpp"
#include "ops/ops.hpp"
#include "ops/steep.hpp"
#include "ops/streams.hpp"

namespace enn {
namespace {

bool is_layer(Op op) { return op == Op::Convolution || op == Op::Linear || op == Op::MatMul; }

// Each element of the result is one of the operands'.
bool selects(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::Maximum:
    case Op::Minimum:
    case Op::Relu:
    case Op::Abs:
    case Op::Clamp:
    case Op::ClampTensor:
    case Op::Where:
      return true;
    default:
      return moves_elements(graph, node);
  }
}

// Whether the elements of a constant differ. What is not known yet may.
bool varies(const Graph& graph, ValueId id) {
  if (id == kNone) return false;
  const Value& value = graph.value(id);
  if (numel(value.type.shape) <= 1) return false;
  const std::size_t size = size_of(value.type.dtype);
  if (!value.is_constant() || value.data->size() < size) return true;
  const std::byte* first = value.data->data();
  for (std::size_t at = size; at + size <= value.data->size(); at += size) {
    if (std::memcmp(first, first + at, size) != 0) return true;
  }
  return false;
}

struct AffineMap {
  ValueId operand = kNone;
  bool per_channel = false;  // channels differ in factor or shift
};

// A sum with a constant, a product with one, a batch norm. No operand when the node is neither.
AffineMap affine_map_of(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::BatchNorm: {
      if (node.inputs[3] == kNone) return {};
      const auto parameters = std::span(node.inputs).subspan(1);
      return {node.inputs[0],
              std::ranges::any_of(parameters, [&](ValueId id) { return varies(graph, id); })};
    }
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div: {
      const bool first = node.op != Op::Div && is_constant_expression(graph, node.inputs[0]);
      const std::size_t constant = first ? 0 : 1;
      if (!is_constant_expression(graph, node.inputs[constant])) return {};
      return {node.inputs[1 - constant], varies(graph, node.inputs[constant])};
    }
    default:
      return {};
  }
}

}  // namespace

FloatValues::FloatValues(const Graph& graph)
    : order_(graph.order()),
      by_layer_(graph.value_count(), false),
      reasons_(graph.value_count(), FloatReason::None),
      in_float_(graph.node_count(), false) {
  find_layers(graph);
  find_steep(graph);
  find_compared(graph);
  find_returned(graph);
  find_features(graph);
  find_streams(graph);
}

bool FloatValues::is_float_operand(const Node& reader, ValueId id) const {
  switch (reasons_[id]) {
    case FloatReason::Features:
      return true;
    case FloatReason::Stream:
    case FloatReason::State:
      return !is_layer(reader.op);
    default:
      return false;
  }
}

void FloatValues::keep(const Graph& graph, ValueId id, FloatReason reason) {
  if (is_float_value(graph, id) && reasons_[id] == FloatReason::None) reasons_[id] = reason;
}

void FloatValues::find_layers(const Graph& graph) {
  const auto add = [&](NodeId id) {
    by_layer_[graph.node(id).outputs[0]] = true;
    for (const NodeId follower : fused_followers(graph, id))
      by_layer_[graph.node(follower).outputs[0]] = true;
  };
  for (const NodeId id : order_) {
    if (!is_layer(graph.node(id).op)) continue;
    add(id);
    if (const auto sum = residual_sum_of(graph, id)) add(sum->sum);
  }
}

// Values that are read steeply, and by nothing else. Where the readers only jump, a layer keeps its
// 8 bits: its own error is as large.
void FloatValues::find_steep(const Graph& graph) {
  for (const bool with_jumps : {false, true}) {
    std::vector<bool> steep(graph.value_count(), true);
    std::vector<bool> read(graph.value_count(), false);
    for (const ValueId id : graph.outputs()) steep[id] = false;
    const auto stays = [&](ValueId id) {
      return steep[id] && read[id] && (!with_jumps || !by_layer_[id]);
    };
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      const Node& node = graph.node(*id);
      const bool passes = passes_steepness(graph, node) && std::ranges::all_of(node.outputs, stays);
      in_float_[*id] = in_float_[*id] || (passes && std::ranges::any_of(node.outputs, stays));
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId input = node.inputs[i];
        if (input == kNone) continue;
        const bool own = is_steep(graph, node, i) || (with_jumps && jumps(graph, node, i));
        read[input] = true;
        steep[input] = steep[input] && (passes || own);
      }
    }
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      if (stays(id)) keep(graph, id, FloatReason::Steep);
    }
  }
}

// Two quantizations of one value never compare equal: what a comparison reads, and what that was
// chosen from, has one for all readers (a layer's result) or none. A NaN has no quantization.
void FloatValues::find_compared(const Graph& graph) {
  std::vector<bool> compared(graph.value_count(), false);
  for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
    const Node& node = graph.node(*id);
    const bool chosen =
        selects(graph, node) && std::ranges::any_of(node.outputs, [&](ValueId output) {
          return compared[output] && !by_layer_[output];
        });
    in_float_[*id] = in_float_[*id] || chosen;
    if (!chosen && !compares_computed(graph, node) && !tests_numbers(node)) continue;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      compared[input] = true;
      if (!by_layer_[input]) keep(graph, input, FloatReason::Compared);
    }
  }
}

void FloatValues::find_returned(const Graph& graph) {
  std::vector<bool> is_input(graph.value_count(), false);
  for (const ValueId id : graph.inputs()) is_input[id] = true;
  for (const NodeId id : order_) {
    const Node& node = graph.node(id);
    if (!moves_one(graph, node) || !is_input[node.inputs[0]]) continue;
    for (const ValueId output : node.outputs) is_input[output] = true;
  }
  std::vector<bool> returned(graph.value_count(), false);
  for (const ValueId id : graph.outputs()) returned[id] = is_input[id];
  for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
    const Node& node = graph.node(*id);
    if (std::ranges::none_of(node.outputs, [&](ValueId output) { return bool{returned[output]}; }))
      continue;
    in_float_[*id] = true;
    returned[node.inputs[0]] = true;
  }
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (returned[id]) keep(graph, id, FloatReason::Returned);
  }
}

// One scale does not hold the features of a raw input, whose sizes differ until affine maps per
// channel have made them alike.
void FloatValues::find_features(const Graph& graph) {
  std::vector<bool> raw(graph.value_count(), false);
  for (const ValueId id : graph.inputs()) raw[id] = true;
  std::vector<AffineMap> maps(graph.node_count());
  for (const NodeId id : order_) {
    const Node& node = graph.node(id);
    maps[id] = affine_map_of(graph, node);
    const bool passes = maps[id].operand != kNone                          ? raw[maps[id].operand]
                        : moves_one(graph, node) || node.op == Op::Convert ? raw[node.inputs[0]]
                                                                           : false;
    for (const ValueId output : node.outputs) raw[output] = passes;
  }
  std::vector<bool> features(graph.value_count(), true);
  std::vector<bool> read(graph.value_count(), false);
  for (const ValueId id : graph.outputs()) features[id] = false;
  const auto stays = [&](ValueId id) { return raw[id] && read[id] && features[id]; };
  for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
    const Node& node = graph.node(*id);
    const bool fits = maps[*id].per_channel ||
                      (!node.outputs.empty() && std::ranges::all_of(node.outputs, stays));
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      read[input] = true;
      features[input] = features[input] && fits;
    }
  }
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (stays(id)) keep(graph, id, FloatReason::Features);
  }
}

void FloatValues::find_streams(const Graph& graph) {
  const std::vector<bool> streams = residual_streams(graph);
  const std::vector<bool> states = recurrent_states(graph);
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).is_constant()) continue;
    if (streams[id]) keep(graph, id, FloatReason::Stream);
    if (states[id]) keep(graph, id, FloatReason::State);
  }
}

}  // namespace enn

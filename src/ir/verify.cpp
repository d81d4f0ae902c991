#include <cmath>
#include <unordered_set>

#include "ir/graph.hpp"
#include "ir/rules.hpp"

namespace enn {
namespace {

Status verify_quant(const Value& value) {
  const QuantParams& quant = *value.quant;
  const auto fail = [&](const auto&... why) {
    return error(Code::InvalidGraph, "value '", value.name, "': ", why...);
  };
  if (quant.quant_min >= quant.quant_max) return fail("its quantized range is empty");
  std::size_t count = 1;
  if (!quant.per_tensor()) {
    if (static_cast<std::size_t>(quant.axis) >= value.type.shape.size()) {
      return fail("quantization axis ", quant.axis, " is out of range for ", to_string(value.type));
    }
    count = static_cast<std::size_t>(value.type.shape[static_cast<std::size_t>(quant.axis)]);
  }
  if (quant.scales.size() != count || quant.zero_points.size() != count) {
    return fail("has ", quant.scales.size(), " scales and ", quant.zero_points.size(),
                " zero points, expected ", count);
  }
  for (const float scale : quant.scales) {
    if (!std::isfinite(scale) || scale <= 0.0F) return fail("scale ", scale, " is not positive");
  }
  return {};
}

Status verify_value(const Value& value) {
  if (dynamic_dim(value.type.shape) >= 0 && !value.is_constant() && !value.quant) return {};
  const auto count = checked_numel(value.type.shape);
  if (!count) {
    return error(Code::InvalidGraph, "value '", value.name, "' has an impossible shape ",
                 list_str(value.type.shape));
  }
  if (value.is_constant()) {
    const auto bytes = static_cast<std::size_t>(*count) * size_of(value.type.dtype);
    if (value.data->size() != bytes) {
      return error(Code::InvalidGraph, "constant '", value.name, "' of type ",
                   to_string(value.type), " has ", value.data->size(), " bytes, expected ", bytes);
    }
  }
  if (value.layout == Layout::ChannelsLast && value.type.shape.size() != 4) {
    return error(Code::InvalidGraph, "value '", value.name, "' is channels_last but not of rank 4");
  }
  return value.quant ? verify_quant(value) : Status();
}

Status verify_node(const Graph& graph, const Node& node, const std::vector<bool>& defined) {
  for (const ValueId id : node.inputs) {
    if (id == kNone) continue;
    if (id >= graph.value_count()) {
      return error(Code::InvalidGraph, "node '", node.name, "' reads a value that does not exist");
    }
    if (!defined[id]) {
      return error(Code::InvalidGraph, "node '", node.name, "' reads '", graph.value(id).name,
                   "' before it is computed");
    }
  }
  if (node.op == Op::Unknown) return {};
  for (const ValueId id : node.inputs) {
    if (id == kNone) continue;
    const auto& [dtype, shape] = graph.value(id).type;
    const auto reads = [&](const auto&... what) {
      return error(Code::InvalidGraph, "node '", node.name, "' (", to_string(node.op), ") reads '",
                   graph.value(id).name, "', which ", what...);
    };
    if (dynamic_dim(shape) >= 0) return reads("has a dynamic size");
    if (!is_known(dtype)) return reads("is ", to_string(dtype));
  }
  auto types = infer(graph, node);
  if (!types.ok()) {
    return error(types.status().code(), "node '", node.name, "' (", to_string(node.op),
                 "): ", types.status().message());
  }
  if (types.value().size() != node.outputs.size()) {
    return error(Code::InvalidGraph, "node '", node.name, "' (", to_string(node.op), ") has ",
                 node.outputs.size(), " results, expected ", types.value().size());
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const TensorType& type = graph.value(node.outputs[i]).type;
    if (type != types.value()[i]) {
      return error(Code::InvalidGraph, "node '", node.name, "' (", to_string(node.op), ") gives ",
                   to_string(types.value()[i]), ", but its result is declared ", to_string(type));
    }
  }
  return {};
}

}  // namespace

Status verify(const Graph& graph) {
  std::vector<bool> defined(graph.value_count(), false);
  std::unordered_set<std::string_view> names;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.producer != kNone && graph.node(value.producer).dead) continue;
    ENN_TRY(verify_value(value));
    if (!names.insert(value.name).second) {
      return error(Code::InvalidGraph, "two values are named '", value.name, "'");
    }
    if (value.is_constant()) defined[id] = true;
  }
  for (const ValueId id : graph.inputs()) defined[id] = true;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    ENN_TRY(verify_node(graph, node, defined));
    for (const ValueId output : node.outputs) defined[output] = true;
  }
  for (const ValueId id : graph.outputs()) {
    if (id >= graph.value_count() || !defined[id]) {
      return error(Code::InvalidGraph, "an output of the graph is never computed");
    }
  }
  for (const ValueId id : graph.taps()) {
    if (id >= graph.value_count() || !defined[id]) {
      return error(Code::InvalidGraph, "a tapped value of the graph is never computed");
    }
    const Value& value = graph.value(id);
    if (value.type.dtype != DType::Float32 && value.type.dtype != DType::Float16) {
      return error(Code::InvalidGraph, "tapped value '", value.name, "' is ",
                   to_string(value.type.dtype), ", not float32 or float16");
    }
  }
  return {};
}

}  // namespace enn

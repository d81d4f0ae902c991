#include <algorithm>
#include <cstring>

#include "compiler/passes/passes.hpp"
#include "ops/constants.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

using Bytes = std::vector<std::byte>;

Result<Bytes> quantized(const Graph& graph, const Node& node) {
  ENN_ASSIGN(const std::vector<float> values, constant_floats(graph, node.inputs[0]));
  ENN_ASSIGN(const QuantParams params, quant_params(graph, node));
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  Bytes out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = quantized_channel(i, shape, params);
    out[i] = static_cast<std::byte>(quantize_value(values[i], inverse_scale(params.scales[channel]),
                                                   params.zero_points[channel], params.quant_min,
                                                   params.quant_max));
  }
  return Bytes(std::move(out));
}

Bytes permuted(const Value& value, const std::vector<std::int64_t>& dims) {
  const Shape& shape = value.type.shape;
  const std::size_t size = size_of(value.type.dtype);
  const std::size_t rank = shape.size();
  std::vector<std::size_t> stride(rank, size);
  for (std::size_t d = rank; d-- > 1;)
    stride[d - 1] = stride[d] * static_cast<std::size_t>(shape[d]);
  Bytes out(value.data->size());
  std::vector<std::int64_t> index(rank, 0);
  for (std::size_t to = 0; to < out.size(); to += size) {
    std::size_t from = 0;
    for (std::size_t d = 0; d < rank; ++d) {
      from += static_cast<std::size_t>(index[d]) * stride[static_cast<std::size_t>(dims[d])];
    }
    std::memcpy(out.data() + to, value.data->data() + from, size);
    for (std::size_t d = rank; d-- > 0;) {
      if (++index[d] < shape[static_cast<std::size_t>(dims[d])]) break;
      index[d] = 0;
    }
  }
  return out;
}

void replace_by_constant(Graph& graph, NodeId id, ConstantData data) {
  const ValueId result = graph.node(id).outputs[0];
  const ValueId constant = graph.add_constant(graph.value(result).name + ".folded",
                                              graph.value(result).type, std::move(data));
  graph.replace_uses(result, constant);
  graph.erase_node(id);
}

bool has_constant_operands(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    return input == kNone || graph.value(input).is_constant();
  });
}

}  // namespace

Status fold_constants(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!has_constant_operands(graph, node)) continue;
    if (node.op == Op::Quantize) {
      ENN_ASSIGN(Bytes bytes, quantized(graph, node));
      replace_by_constant(graph, id, std::make_shared<const Bytes>(std::move(bytes)));
    } else if (node.op == Op::Permute) {
      Bytes bytes = permuted(graph.value(node.inputs[0]), node.attrs.integers("dims"));
      replace_by_constant(graph, id, std::make_shared<const Bytes>(std::move(bytes)));
    } else if (node.op == Op::Reshape) {
      replace_by_constant(graph, id, graph.value(node.inputs[0]).data);
    }
  }
  return {};
}

Status fold_dequantized_constants(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (node.op != Op::Dequantize || !has_constant_operands(graph, node)) continue;
    const Value& input = graph.value(node.inputs[0]);
    ENN_ASSIGN(const QuantParams params, quant_params(graph, node));
    const auto values = dequantized_floats(input, params);
    if (!values.ok()) {
      return error(Code::Unsupported, "node '", node.name, "': ", values.status().message());
    }
    replace_by_constant(graph, id, std::make_shared<const Bytes>(bytes_of(values.value())));
  }
  // What was moved on a dequantized weight (addmm's transposition) is constant now.
  return fold_constants(graph);
}

}  // namespace enn

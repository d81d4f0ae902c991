#include <algorithm>
#include <cstring>

#include "compiler/passes/passes.hpp"
#include "ops/constants.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {
namespace {

using Bytes = std::vector<std::byte>;

// For element i of a tensor quantized along params.axis: which scale it has.
std::size_t channel_of(std::size_t i, const Shape& shape, const QuantParams& params) {
  if (params.per_tensor()) return 0;
  std::size_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(params.axis) + 1; d < shape.size(); ++d) {
    inner *= static_cast<std::size_t>(shape[d]);
  }
  return i / inner % params.scales.size();
}

Result<Bytes> quantized(const Graph& graph, const Node& node) {
  ENN_ASSIGN(const std::vector<float> values, constant_floats(graph, node.inputs[0]));
  ENN_ASSIGN(const QuantParams params, quant_params(graph, node));
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  Bytes out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = channel_of(i, shape, params);
    out[i] = static_cast<std::byte>(quantize_value(values[i], inverse_scale(params.scales[channel]),
                                                   params.zero_points[channel], params.quant_min,
                                                   params.quant_max));
  }
  return Bytes(std::move(out));
}

template <typename T>
std::vector<float> dequantized(const Bytes& bytes, const Shape& shape, const QuantParams& params) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  std::vector<float> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = channel_of(i, shape, params);
    const std::int64_t difference = std::int64_t{values[i]} - params.zero_points[channel];
    out[i] = static_cast<float>(difference) * params.scales[channel];
  }
  return out;
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
    std::vector<float> values;
    switch (input.type.dtype) {
      case DType::Int8:
        values = dequantized<std::int8_t>(*input.data, input.type.shape, params);
        break;
      case DType::UInt8:
        values = dequantized<std::uint8_t>(*input.data, input.type.shape, params);
        break;
      case DType::Int32:
        values = dequantized<std::int32_t>(*input.data, input.type.shape, params);
        break;
      default:
        return error(Code::Unsupported, "node '", node.name, "' dequantizes ",
                     to_string(input.type.dtype));
    }
    replace_by_constant(graph, id, std::make_shared<const Bytes>(bytes_of(values)));
  }
  // What was moved on a dequantized weight (addmm's transposition) is constant now.
  return fold_constants(graph);
}

}  // namespace enn

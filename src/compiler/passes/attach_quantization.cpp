#include "compiler/passes/passes.hpp"
#include "ops/qdq/qdq.hpp"

namespace enn {

Status attach_quantization(Graph& graph) {
  for (const NodeId id : graph.order()) {
    const Op op = graph.node(id).op;
    if (op != Op::Quantize && op != Op::Dequantize) continue;
    ENN_ASSIGN(QuantParams params, quant_params(graph, graph.node(id)));
    if (op == Op::Quantize) {
      graph.value(graph.node(id).outputs[0]).quant = std::move(params);
      continue;
    }
    const ValueId input = graph.node(id).inputs[0];
    const DType dtype = graph.value(input).type.dtype;
    if (dtype != DType::Int8 && dtype != DType::UInt8) continue;
    if (graph.value(input).quant && *graph.value(input).quant != params) {
      const TensorType type = graph.value(input).type;
      const NodeId copy =
          graph.insert_node(id, Op::Identity, graph.node(id).name + ".copy", {input}, {type});
      graph.node(id).inputs[0] = graph.node(copy).outputs[0];
    }
    graph.value(graph.node(id).inputs[0]).quant = std::move(params);
  }
  return {};
}

}  // namespace enn

#include "intermediates.hpp"

#include "compiler/compiler.hpp"
#include "ir/graph.hpp"

namespace enn::tool {
namespace {

struct Point {
  std::string name;
  ValueId value;
};

std::vector<Point> points_of(const Graph& graph, bool quantized) {
  std::vector<Point> out;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!quantized) {
      const Value& value = graph.value(node.outputs[0]);
      if (value.type.dtype == DType::Float32) out.push_back({value.name, node.outputs[0]});
      continue;
    }
    if (node.op != Op::Quantize || graph.value(node.inputs[0]).is_constant()) continue;
    for (const NodeId user : graph.users(node.outputs[0])) {
      if (graph.node(user).op != Op::Dequantize) continue;
      out.push_back({graph.value(node.inputs[0]).name, graph.node(user).outputs[0]});
      break;
    }
  }
  return out;
}

}  // namespace

Result<NamedTensors> run_with_intermediates(const ExportedProgram& program, Execution execution,
                                            const RunOptions& options,
                                            std::span<const Tensor> inputs) {
  Graph graph = program.graph();
  const std::vector<Point> points = points_of(graph, is_quantized(program));
  std::vector<ValueId> outputs = graph.outputs();
  for (const Point& point : points) outputs.push_back(point.value);
  graph.set_outputs(std::move(outputs));
  CompileOptions compile_options;
  compile_options.execution = execution;
  ENN_ASSIGN(const CompiledProgram compiled, compile(std::move(graph), compile_options));
  ENN_ASSIGN(Runner runner, Runner::open(compiled.bytes, options));
  ENN_ASSIGN(std::vector<Tensor> results, runner.run(inputs));
  NamedTensors out;
  const std::size_t first = program.outputs().size();
  for (std::size_t i = 0; i < points.size(); ++i) {
    out.emplace(points[i].name, std::move(results[first + i]));
  }
  for (std::size_t i = 0; i < first; ++i) {
    out.insert_or_assign(str("output ", i), std::move(results[i]));
  }
  return out;
}

}  // namespace enn::tool

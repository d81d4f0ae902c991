#include "lowering/lowering.hpp"

#include <algorithm>
#include <optional>

#include "base/file_io.hpp"
#include "compiler/compiler.hpp"
#include "lowering/pte.hpp"
#include "partitioner/partitioner.hpp"

namespace enn {
namespace {

Status check_delegated(const Graph& graph, const Partitioning& partitioning) {
  std::vector<NodeId> left;
  const std::vector<NodeId> order = graph.order();
  std::ranges::copy_if(order, std::back_inserter(left),
                       [&](NodeId id) { return partitioning.nodes[id].partition < 0; });
  if (!left.empty()) {
    const Node& node = graph.node(left[0]);
    return error(Code::Unsupported, "node '", node.name, "' (",
                 node.target.empty() ? std::string(to_string(node.op)) : node.target,
                 ") is not taken: ", partitioning.nodes[left[0]].reason, "; of ", order.size(),
                 " nodes, ", left.size(), left.size() == 1 ? " is" : " are", " not taken");
  }
  if (partitioning.count != 1) {
    return error(Code::Unsupported, "the program has no operator that the delegate could run");
  }
  for (const ValueId id : graph.outputs()) {
    if (!graph.value(id).is_constant()) continue;
    return error(Code::Unsupported, "the program returns its constant '", graph.value(id).name,
                 "'; the delegate returns what it computes");
  }
  return {};
}

std::optional<std::uint32_t> index_of(const std::vector<ValueId>& values, ValueId id) {
  const auto found = std::ranges::find(values, id);
  if (found == values.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - values.begin());
}

// The graph's inputs in the order in which its nodes first read them: that of the arguments when
// ExecuTorch makes a partition a program of its own. An input that no node reads is no argument.
std::vector<ValueId> arguments_of(const Graph& graph) {
  std::vector<ValueId> arguments;
  for (const NodeId id : graph.order()) {
    for (const ValueId input : graph.node(id).inputs) {
      if (index_of(graph.inputs(), input) && !index_of(arguments, input))
        arguments.push_back(input);
    }
  }
  return arguments;
}

// What the nodes compute for outside, each once, in the order of computation: that of the results
// when ExecuTorch makes a partition a program of its own.
std::vector<ValueId> results_of(const Graph& graph) {
  std::vector<ValueId> results;
  for (const NodeId id : graph.order()) {
    std::ranges::copy_if(graph.node(id).outputs, std::back_inserter(results),
                         [&](ValueId output) { return graph.is_output(output); });
  }
  return results;
}

// `graph` as a function from `arguments` to `results`.
Graph delegated(const Graph& graph, const std::vector<ValueId>& arguments,
                const std::vector<ValueId>& results) {
  Graph out;
  std::vector<ValueId> mapped(graph.value_count(), kNone);
  const auto map = [&](std::vector<ValueId> ids) {
    for (ValueId& id : ids) id = id == kNone ? kNone : mapped[id];
    return ids;
  };
  for (const ValueId id : arguments)
    mapped[id] = out.add_input(graph.value(id).name, graph.value(id).type);
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (value.is_constant()) mapped[id] = out.add_constant(value.name, value.type, value.data);
  }
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    std::vector<TensorType> types;
    for (const ValueId output : node.outputs) types.push_back(graph.value(output).type);
    Node& copy =
        out.node(out.add_node(node.op, node.name, map(node.inputs), std::move(types), node.attrs));
    copy.target = node.target;
    copy.source = node.source;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) mapped[node.outputs[i]] = copy.outputs[i];
  }
  out.set_outputs(map(results));
  return out;
}

std::vector<TensorType> types_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<TensorType> types;
  for (const ValueId id : values) types.push_back(graph.value(id).type);
  return types;
}

}  // namespace

Result<EdgeProgram> lower_graph(const Graph& graph, const EnnPartitioner& partitioner) {
  ENN_TRY(check_compile_specs(partitioner.compile_specs()));
  Graph live = graph;
  live.erase_unused();
  ENN_TRY(check_delegated(live, partition(live)));
  const std::vector<ValueId> arguments = arguments_of(live);
  const std::vector<ValueId> results = results_of(live);

  EdgeProgram out;
  out.inputs_ = types_of(live, live.inputs());
  out.results_ = types_of(live, results);
  for (const ValueId id : arguments) out.arguments_.push_back(*index_of(live.inputs(), id));
  for (const ValueId id : live.outputs()) {
    const auto result = index_of(results, id);
    const auto inputs = static_cast<std::uint32_t>(live.inputs().size());
    out.outputs_.push_back(result ? inputs + *result : *index_of(live.inputs(), id));
  }
  out.compile_specs_ = partitioner.compile_specs();
  ENN_ASSIGN(CompiledProgram program, compile(delegated(live, arguments, results)));
  out.payload_ = std::move(program.bytes);
  return out;
}

Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                const EnnPartitioner& partitioner) {
  return lower_graph(program.graph(), partitioner);
}

Result<ExecutorchProgram> EdgeProgram::to_executorch() const {
  ENN_ASSIGN(std::vector<std::byte> bytes, write_pte({.inputs = inputs_,
                                                      .results = results_,
                                                      .arguments = arguments_,
                                                      .outputs = outputs_,
                                                      .compile_specs = compile_specs_,
                                                      .payload = payload_}));
  return ExecutorchProgram(std::move(bytes));
}

Status ExecutorchProgram::save(const std::filesystem::path& path) const {
  return write_file_atomically(path, bytes_);
}

}  // namespace enn

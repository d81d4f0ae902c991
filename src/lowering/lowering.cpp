#include "lowering/lowering.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/file_io.hpp"
#include "base/guard.hpp"
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
  for (const ValueId id : graph.inputs()) {
    const Value& input = graph.value(id);
    if (is_known(input.type.dtype)) continue;
    return error(Code::Unsupported, "the program's input '", input.name, "' is ",
                 to_string(input.type.dtype), ", which this engine does not know");
  }
  for (const ValueId id : graph.outputs()) {  // new values of buffers were made nodes' results
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
    copy.origin = node.origin;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) mapped[node.outputs[i]] = copy.outputs[i];
  }
  out.set_outputs(map(results));
  return out;
}

// The method copies new values after the delegate has run, one after the other: gives a node's
// result to each output that could be overwritten before it is copied or returned, and to each new
// value that is a constant.
void separate_mutations(Graph& graph, const std::vector<Mutation>& mutations) {
  std::vector<ValueId> outputs = graph.outputs();
  std::vector<bool> is_new_value(outputs.size());
  std::vector<ValueId> overwritten;
  for (const Mutation& mutation : mutations) {
    is_new_value[mutation.after] = true;
    overwritten.push_back(graph.inputs()[mutation.before]);
  }
  std::set<std::string> names;
  for (ValueId id = 0; id < graph.value_count(); ++id) names.insert(graph.value(id).name);
  std::map<ValueId, ValueId> copies;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Value& value = graph.value(outputs[i]);
    const bool constant = is_new_value[i] && value.is_constant();
    if (!constant && !index_of(overwritten, outputs[i])) continue;
    const auto [copy, added] = copies.emplace(outputs[i], kNone);
    if (added) {
      std::string name = value.name + "_kept";
      while (!names.insert(name).second) name += '_';
      const NodeId node = graph.add_node(Op::Identity, name, {outputs[i]}, {value.type});
      copy->second = graph.node(node).outputs[0];
    }
    outputs[i] = copy->second;
  }
  graph.set_outputs(std::move(outputs));
}

Pytree tuple_of_tensors(std::size_t count) {
  return {std::vector<std::optional<Scalar>>(count), {}};
}

}  // namespace

EdgeProgram::EdgeProgram(std::unique_ptr<DelegatedMethod> method) : method_(std::move(method)) {}
EdgeProgram::EdgeProgram(EdgeProgram&&) noexcept = default;
EdgeProgram& EdgeProgram::operator=(EdgeProgram&&) noexcept = default;
EdgeProgram::~EdgeProgram() = default;

Result<EdgeProgram> lower_graph(const Graph& graph, const EnnPartitioner& partitioner,
                                const std::optional<Pytree>& inputs,
                                const std::optional<Pytree>& outputs,
                                const std::vector<Mutation>& mutations) {
  ENN_TRY(check_compile_specs(partitioner.compile_specs()));
  Graph live = graph;
  separate_mutations(live, mutations);
  live.erase_unused();
  ENN_TRY(check_delegated(live, partition(live)));
  const std::vector<ValueId> arguments = arguments_of(live);
  const std::vector<ValueId> results = results_of(live);
  std::vector<ValueId> from_caller = live.inputs();
  std::vector<ValueId> to_caller = live.outputs();
  for (const Mutation& mutation : mutations) {
    if (mutation.initial != nullptr) from_caller[mutation.before] = kNone;
    to_caller[mutation.after] = kNone;
  }
  std::erase(from_caller, kNone);
  std::erase(to_caller, kNone);
  const Pytree given = inputs ? *inputs : tuple_of_tensors(from_caller.size());
  const Pytree returned = outputs ? *outputs : tuple_of_tensors(to_caller.size());

  auto method = std::make_unique<DelegatedMethod>();
  std::vector<std::uint32_t> index(live.value_count());  // in the method, of a value of `live`
  const auto add = [&](MethodValue value) {
    method->values.push_back(std::move(value));
    return static_cast<std::uint32_t>(method->values.size() - 1);
  };
  const auto add_tensor = [&](ValueId id) { index[id] = add(live.value(id).type); };
  auto input = from_caller.begin();
  for (const auto& leaf : given.leaves) {
    if (leaf) {
      add(*leaf);
    } else {
      add_tensor(*input++);
    }
  }
  method->inputs = method->values.size();
  for (const Mutation& mutation : mutations) {
    if (mutation.initial == nullptr) continue;
    const ValueId buffer = live.inputs()[mutation.before];
    add_tensor(buffer);
    method->kept.push_back({index[buffer], mutation.initial});
  }
  for (const ValueId id : results) add_tensor(id);
  for (const ValueId id : arguments) method->arguments.push_back(index[id]);
  for (const ValueId id : results) method->arguments.push_back(index[id]);
  for (const Mutation& mutation : mutations) {
    method->copies.push_back(
        {index[live.inputs()[mutation.before]], index[live.outputs()[mutation.after]]});
  }
  auto output = to_caller.begin();
  for (const auto& leaf : returned.leaves)
    method->outputs.push_back(leaf ? add(*leaf) : index[*output++]);
  method->input_tree = given.spec;
  method->output_tree = returned.spec;
  method->compile_specs = partitioner.compile_specs();
  CompileOptions options;
  options.source_lines = asks_for_source_lines(partitioner.compile_specs());
  ENN_ASSIGN(CompiledProgram program, compile(delegated(live, arguments, results), options));
  method->payload = std::move(program.bytes);
  return EdgeProgram(std::move(method));
}

Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                const EnnPartitioner& partitioner) {
  return guarded("lower the model", [&] {
    return lower_graph(program.graph(), partitioner, program.input_tree(), program.output_tree(),
                       program.mutations());
  });
}

std::span<const std::byte> EdgeProgram::payload() const { return method_->payload; }

Result<ExecutorchProgram> EdgeProgram::to_executorch() const {
  return guarded("write the .pte file", [&]() -> Result<ExecutorchProgram> {
    ENN_ASSIGN(std::vector<std::byte> bytes, write_pte(*method_));
    return ExecutorchProgram(std::move(bytes));
  });
}

Status ExecutorchProgram::save(const std::filesystem::path& path) const {
  return write_file_atomically(path, bytes_);
}

}  // namespace enn

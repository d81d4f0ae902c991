#include "intermediates.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

namespace enn::tool {
namespace {

// What a value is known by: the path of its module, its operator, and its number among those; or
// its name.
using Key = std::tuple<std::string, Op, std::size_t>;

bool knows_modules(const Graph& graph) {
  const std::vector<NodeId> order = graph.order();
  return std::ranges::any_of(
      order, [&](NodeId id) { return !module_path(graph.node(id).origin).empty(); });
}

std::map<NodeId, Key> keys_of(const Graph& graph, bool by_module) {
  std::map<std::pair<std::string, Op>, std::size_t> counts;
  std::map<NodeId, Key> keys;
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (by_module) {
      const std::string path = module_path(node.origin);
      keys.emplace(id, Key{path, node.op, counts[{path, node.op}]++});
    } else {
      keys.emplace(id, Key{graph.value(node.outputs[0]).name, Op::Unknown, 0});
    }
  }
  return keys;
}

bool folds_batch_norms(const Node& node) {
  return node.op == Op::Convolution || node.op == Op::Linear;
}

std::set<Key> all(const std::map<NodeId, Key>& keys) {
  std::set<Key> out;
  for (const auto& [node, key] : keys) out.insert(key);
  return out;
}

// Where `graph` has a batch norm that `others` lacks after a layer that both have: the other model
// has it in the layer. The batch norm then is known by the layer's key, and the layer by none.
void join_folded_batch_norms(const Graph& graph, const std::set<Key>& others,
                             std::map<NodeId, Key>& keys) {
  for (const NodeId id : graph.order()) {
    const Node& norm = graph.node(id);
    if (norm.op != Op::BatchNorm || others.contains(keys.at(id))) continue;
    const ValueId operand = norm.inputs[0];
    const NodeId layer = graph.value(operand).producer;
    if (layer == kNone || !folds_batch_norms(graph.node(layer)) || !keys.contains(layer) ||
        !others.contains(keys.at(layer)) || graph.users(operand).size() != 1) {
      continue;
    }
    keys[id] = keys.at(layer);
    keys.erase(layer);
  }
}

}  // namespace

std::vector<Point> points_of(const ExportedProgram& program) {
  const Graph& graph = program.graph();
  const bool quantized = is_quantized(program);
  std::vector<Point> out;
  const auto add = [&](ValueId named, ValueId shown) {
    const Value& value = graph.value(named);
    std::string path =
        value.producer == kNone ? "" : module_path(graph.node(value.producer).origin);
    out.push_back({value.name, std::move(path), value.producer, shown});
  };
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!quantized) {
      if (graph.value(node.outputs[0]).type.dtype == DType::Float32) {
        add(node.outputs[0], node.outputs[0]);
      }
      continue;
    }
    if (node.op != Op::Quantize || graph.value(node.inputs[0]).is_constant()) continue;
    for (const NodeId user : graph.users(node.outputs[0])) {
      if (graph.node(user).op != Op::Dequantize) continue;
      add(node.inputs[0], graph.node(user).outputs[0]);
      break;
    }
  }
  return out;
}

std::vector<PointPair> common_points(const ExportedProgram& first, const ExportedProgram& second) {
  const bool by_module = knows_modules(first.graph()) && knows_modules(second.graph());
  std::map<NodeId, Key> first_keys = keys_of(first.graph(), by_module);
  std::map<NodeId, Key> second_keys = keys_of(second.graph(), by_module);
  const std::set<Key> in_first = all(first_keys);
  const std::set<Key> in_second = all(second_keys);
  join_folded_batch_norms(first.graph(), in_second, first_keys);
  join_folded_batch_norms(second.graph(), in_first, second_keys);

  std::map<Key, Point> of_second;
  std::map<std::string, Point> inputs_of_second;
  for (Point& point : points_of(second)) {
    if (point.node == kNone) inputs_of_second.emplace(point.name, point);
    const auto key = second_keys.find(point.node);
    if (key != second_keys.end()) of_second.emplace(key->second, std::move(point));
  }
  std::vector<PointPair> out;
  const auto add = [&](Point& point, const Point& other) {
    // Values of different shapes are different values under one name.
    if (first.graph().value(point.value).type.shape == second.graph().value(other.value).type.shape)
      out.push_back({std::move(point), other});
  };
  for (Point& point : points_of(first)) {
    if (point.node == kNone) {
      const auto found = inputs_of_second.find(point.name);
      if (found != inputs_of_second.end()) add(point, found->second);
      continue;
    }
    const auto key = first_keys.find(point.node);
    if (key == first_keys.end()) continue;
    const auto found = of_second.find(key->second);
    if (found != of_second.end()) add(point, found->second);
  }
  return out;
}

Result<ObservedModel> ObservedModel::open(const ExportedProgram& program,
                                          std::span<const Point> points, Execution execution,
                                          const RunOptions& options) {
  Graph graph = program.graph();
  std::vector<ValueId> values = graph.outputs();
  std::vector<NamedType> outputs = program.outputs();
  for (const Point& point : points) {
    values.push_back(point.value);
    outputs.push_back({point.name, graph.value(point.value).type});
  }
  graph.set_outputs(std::move(values));
  ModelOptions model_options;
  model_options.execution = execution;
  model_options.threads = options.threads;
  model_options.isa = options.isa;
  ENN_ASSIGN(Model model, Model::compile_graph(graph, program.inputs(), std::move(outputs),
                                               model_options, program.mutations()));
  return ObservedModel(std::move(model), program.outputs().size());
}

Result<ObservedModel::Values> ObservedModel::run(std::span<const Tensor> inputs) {
  std::vector<TensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  ENN_ASSIGN(std::vector<Tensor> results, model_(views));
  Values out;
  const auto middle = results.begin() + static_cast<std::ptrdiff_t>(outputs_);
  out.points.assign(std::make_move_iterator(middle), std::make_move_iterator(results.end()));
  results.erase(middle, results.end());
  out.outputs = std::move(results);
  return out;
}

}  // namespace enn::tool

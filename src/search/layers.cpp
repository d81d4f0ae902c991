#include <algorithm>
#include <cmath>
#include <map>

#include "enn/search.hpp"
#include "ir/graph.hpp"
#include "quantizer/overrides.hpp"
#include "search/macs.hpp"

namespace enn {
namespace {

bool is_only_one(const Graph& graph, std::string_view selector) {
  const std::vector<NodeId> order = graph.order();
  return std::ranges::count_if(
             order, [&](NodeId id) { return is_selected(graph.node(id), selector); }) == 1;
}

// The ranking, but where most of a layer's noise is the rounding of its result, its readers come
// next: they would round it when the layer itself is in float.
std::vector<std::size_t> exclusion_order(const AnalysisReport& report) {
  std::vector<std::vector<std::size_t>> readers(report.layers.size());
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    for (const std::size_t operand : report.layers[i].operands) readers[operand].push_back(i);
  }
  std::vector<bool> taken(report.layers.size());
  std::vector<std::size_t> order;
  const auto take = [&](std::size_t number) {
    if (!taken[number]) order.push_back(number);
    taken[number] = true;
  };
  for (const std::size_t number : report.ranking) {
    take(number);
    const LayerAnalysis& layer = report.layers[number];
    if (!layer.result) continue;
    const double rounding = std::pow(10.0, -layer.result->rounding.sqnr / 10.0);
    if (2 * rounding < layer.own_noise) continue;
    for (const std::size_t reader : readers[number]) take(reader);
  }
  return order;
}

}  // namespace

std::vector<SearchLayer> search_layers(const AnalysisReport& report, const Graph& quantized) {
  std::map<std::string, NodeId> nodes;
  for (const NodeId id : quantized.order()) nodes.emplace(quantized.node(id).name, id);
  std::vector<SearchLayer> out;
  for (const std::size_t number : exclusion_order(report)) {
    const LayerAnalysis& layer = report.layers[number];
    if (!layer.result && layer.weights.empty() && layer.reads.empty()) continue;
    SearchLayer& added = out.emplace_back();
    added.name = layer.module_path.empty() ? layer.name : layer.module_path + " " + layer.name;
    added.contribution = layer.contribution;
    for (const std::string& name : layer.nodes) {
      const auto found = nodes.find(name);
      if (found == nodes.end()) continue;
      const Node& node = quantized.node(found->second);
      added.macs += macs_of(quantized, node);
      // The doors may name a node differently, but its module and operator alike.
      const std::string path = module_path(node.origin);
      const std::string selector = path + ":" + std::string(to_string(node.op));
      if (!path.empty() && is_only_one(quantized, selector)) {
        added.modules.push_back(selector);
      } else {
        added.nodes.push_back(name);
      }
    }
    if (added.modules.empty() && added.nodes.empty()) out.pop_back();
  }
  return out;
}

}  // namespace enn

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "partitioner/partitioner.hpp"

namespace enn::python {

namespace {

std::vector<std::pair<int, std::string>> partition_graph(const Graph& graph) {
  check(verify(graph));
  const Partitioning partitioning = partition(graph);
  std::vector<std::pair<int, std::string>> nodes;
  nodes.reserve(partitioning.nodes.size());
  for (const NodeDecision& node : partitioning.nodes)
    nodes.emplace_back(node.partition, node.reason);
  return nodes;
}

}  // namespace

void bind_partitioner(nb::module_& module) {
  module.def("partition", &partition_graph, nb::arg("graph"),
             "For each node its partition and \"\", or -1 and the reason why the engine leaves it "
             "to others.");
}

}  // namespace enn::python

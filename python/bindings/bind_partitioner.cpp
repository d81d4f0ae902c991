#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "partitioner/explain.hpp"
#include "partitioner/partitioner.hpp"

namespace enn::python {

namespace {

using Decision = std::pair<int, std::string>;

std::vector<Decision> partition_graph(const Graph& graph) {
  check(verify(graph));
  const Partitioning partitioning = partition(graph);
  std::vector<Decision> nodes;
  nodes.reserve(partitioning.nodes.size());
  for (const NodeDecision& node : partitioning.nodes) {
    nodes.emplace_back(node.partition, node.reason);
  }
  return nodes;
}

}  // namespace

void bind_partitioner(nb::module_& module) {
  module.def("partition", &partition_graph, nb::arg("graph"),
             "For each node its partition and \"\", or -1 and the reason why the engine leaves it "
             "to others.");
  module.def(
      "explain_partition",
      [](const Graph& graph) {
        check(verify(graph));
        return explain(graph, partition(graph));
      },
      nb::arg("graph"), "What is decided about each input, constant and node.");
}

}  // namespace enn::python

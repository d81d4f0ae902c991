// A float graph and the graph that quantization made of it, in one: it computes what each layer
// gives in float, with its own quantization alone, and with all that comes before it quantized.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "enn/exported_program.hpp"
#include "ir/graph.hpp"

namespace enn {

// What is computed between two quantizations: a node, or several that hand one value on, such as a
// convolution, the sum after it and a relu. `nodes` and `value` are of the quantized graph, the
// other values of the combined one.
struct TwinLayer {
  std::vector<NodeId> nodes;  // in the order of execution; the last computes `value`
  ValueId value = kNone;
  std::vector<std::size_t> operands;       // the layers that it reads
  std::vector<std::size_t> unquantized;    // those of them that it reads as they are
  std::vector<std::size_t> quantizations;  // of its operands, among TwinGraph::quantizations
  std::optional<std::size_t> result;       // the quantization of its result, which has one scale
  ValueId reference = kNone;               // in float
  // Before the result is quantized: of operands that are those of the float graph, each quantized
  // as the quantized graph quantizes it, and of quantized weights.
  ValueId isolated = kNone;
  // Before the result is quantized: as the quantized graph computes it.
  ValueId accumulated = kNone;
  ValueId isolated_result = kNone;  // `isolated` after its quantization, or itself without one
};

// One quantization of a value. Of constants, `value` is the dequantized one.
struct TwinQuantization {
  ValueId value = kNone;  // of the quantized graph, in float
  QuantParams params;
  bool constant = false;
  ValueId reference = kNone;  // of the combined graph: the value before it is quantized
};

struct TwinOutput {
  std::size_t index = 0;  // among the outputs of both graphs
  ValueId reference = kNone;
  ValueId accumulated = kNone;
};

struct TwinGraph {
  // The float graph, whose nodes and values keep their ids, and what was added. Its outputs are
  // those of the float graph, then the new values of the quantized graph's buffers.
  Graph graph;
  std::vector<Mutation> mutations;
  std::size_t float_nodes = 0;  // nodes of the float graph have smaller ids
  std::vector<TwinLayer> layers;
  std::vector<TwinQuantization> quantizations;
  std::vector<TwinOutput> outputs;  // those of float32
};

// Of each node of the quantized graph the node of the float graph with its name, or kNone.
[[nodiscard]] std::vector<NodeId> nodes_of_same_name(const Graph& floats, const Graph& quantized);

// `float_nodes` says of each node of the quantized graph which node of the float graph gives the
// same results in float, or kNone. Both graphs have the same inputs and outputs, which `mutations`
// are of.
[[nodiscard]] Result<TwinGraph> make_twin_graph(const Graph& floats, const Graph& quantized,
                                                std::span<const NodeId> float_nodes,
                                                const std::vector<Mutation>& mutations);

}  // namespace enn

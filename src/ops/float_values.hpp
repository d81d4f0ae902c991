// Which values stay in float because 8 bits would spoil what is computed from them, and why. The
// quantizer's rules do not see these values; attention masks are apart (ops/masks.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

enum class FloatReason : std::uint8_t {
  None,
  Steep,     // everything that reads it changes a lot, or jumps, within one step
  Compared,  // a comparison reads it beside what was computed from it, or looks for NaN in it
  Returned,  // an input that the model returns, moved or not
  Stream,    // a residual stream (ops/streams.hpp)
  State,     // the state of a recurrent cell (ops/streams.hpp)
  Features,  // an input, or what scalars make of it, that affine maps per channel alone read
};

class FloatValues {
 public:
  explicit FloatValues(const Graph& graph);

  // Why the result of its producer, or the graph input, is not quantized. Its other readers may
  // quantize it for themselves.
  [[nodiscard]] FloatReason reason(ValueId id) const { return reasons_[id]; }
  // Whether `reader` may not quantize it for itself.
  [[nodiscard]] bool is_float_operand(const Node& reader, ValueId id) const;
  // Whether the node is computed in float from float operands.
  [[nodiscard]] bool runs_in_float(NodeId id) const { return in_float_[id]; }

 private:
  void find_layers(const Graph& graph);
  void find_steep(const Graph& graph);
  void find_compared(const Graph& graph);
  void find_returned(const Graph& graph);
  void find_features(const Graph& graph);
  void find_streams(const Graph& graph);
  void keep(const Graph& graph, ValueId id, FloatReason reason);

  std::vector<NodeId> order_;
  std::vector<bool> by_layer_;  // by value: a layer gives it, with what is fused with the layer
  std::vector<FloatReason> reasons_;
  std::vector<bool> in_float_;
};

}  // namespace enn

// Weights rounded so that a layer's result changes least on the calibration data, instead of each
// to its nearest integer. The error of a row w of the weight, rounded to w', is
// (w' - w) H (w' - w)^T, where H has the second moments of the layer's inputs. Weights are rounded
// one after the other, and those that are not rounded yet take up the error (E. Frantar et al.,
// GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2023; the
// same as L. Babai's nearest plane, 1986). Then each weight moves as long as the error falls. It
// becomes one of the two integers around it, as in M. Nagel et al., Up or Down? Adaptive Rounding
// for Post-Training Quantization, 2020.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "enn/parallel.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// Row-major elements of a weight as they are after quantizing each to its nearest integer.
[[nodiscard]] std::vector<float> nearest_weight(std::span<const float> weight, const Shape& shape,
                                                const QuantParams& params);

// The rounding of one convolution's or linear layer's weight, and the moments of the layer's input.
class WeightRounding {
 public:
  // Precondition: the node is a convolution that is not transposed, or linear. `centered` says that
  // the layer's bias takes back the mean error: rounding answers for the rest alone.
  WeightRounding(const Graph& graph, NodeId node, bool centered);

  [[nodiscard]] NodeId node() const { return node_; }
  // Elements of the layer's input.
  [[nodiscard]] std::size_t size() const;

  // The input of one sample, row-major. A sample with values that are not finite is passed over.
  // The number of threads has no influence on the moments.
  void add(std::span<const float> values, Parallel& parallel);
  void merge(const WeightRounding& other);

  // The weight, row-major, as it is after rounding: integers times the scales of `params`, which
  // rounding to nearest finds again. nearest_weight() before the first sample.
  [[nodiscard]] std::vector<float> rounded(std::span<const float> weight,
                                           const QuantParams& params) const;

  [[nodiscard]] nlohmann::json save() const;
  [[nodiscard]] Status load(const nlohmann::json& state);

 private:
  // Inputs of one group whose moments are kept with each other. A group with many inputs has
  // several blocks: time and memory grow with the square of their size.
  struct Block {
    std::size_t group;
    std::size_t first;    // input of the group
    std::size_t size;     // inputs
    std::size_t moments;  // where its moments begin: the lower triangle, by rows
  };
  struct Row;
  class Solver;

  void gather(std::span<const float> values, std::vector<double>& columns) const;

  NodeId node_;
  bool centered_;
  Shape in_;
  Shape out_;
  Shape weight_;
  std::size_t groups_ = 1;
  std::size_t inputs_ = 0;  // of each group
  std::vector<std::int64_t> stride_, dilation_, pads_;
  std::vector<Block> blocks_;
  std::vector<double> sums_;     // of each input of each group
  std::vector<double> moments_;  // sums of products
  std::uint64_t count_ = 0;      // of columns
};

// The roundings of the convolutions and linear layers whose input is quantized, whose weight is a
// quantized float constant that no other node reads; none unless the quantizer learns them.
[[nodiscard]] std::vector<WeightRounding> weight_roundings(const Graph& graph,
                                                           const EnnQuantizer& quantizer,
                                                           const Annotations& annotations);

// Adds the input of `layer` to the graph as one dimension, which lies row-major in memory.
[[nodiscard]] ValueId add_flat_input(Graph& graph, NodeId layer);

}  // namespace enn

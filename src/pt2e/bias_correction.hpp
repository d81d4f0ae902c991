// Bias correction (M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
// Correction, 2019, section 4.2): rounding a weight W to W' moves the mean of a layer's result by
// (W' - W) E[x], the same for every sample. The layer's bias takes it back.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "quantizer/quantizer.hpp"

namespace enn {

// The correction of one convolution or linear layer, and the means of its input that were seen.
class BiasCorrection {
 public:
  // Precondition: the node is a convolution or linear.
  BiasCorrection(const Graph& graph, NodeId node);

  [[nodiscard]] NodeId node() const { return node_; }
  [[nodiscard]] std::size_t channels() const { return channels_; }
  // The dimension of the input that its channels lie along.
  [[nodiscard]] int channel_axis() const { return channel_axis_; }

  // The mean of each channel of one sample. Means that are not finite are passed over.
  void add(std::span<const float> means) noexcept;
  // The same from the whole input, row-major in the order of its shape.
  void add_values(std::span<const float> values, const Shape& shape);
  void merge(const BiasCorrection& other);

  // The bias of a layer whose weight is `weight` in float and `rounded` after quantization, both
  // row-major; `bias` itself before the first sample.
  [[nodiscard]] std::vector<float> corrected(std::span<const float> bias,
                                             std::span<const float> weight,
                                             std::span<const float> rounded) const;

  [[nodiscard]] nlohmann::json save() const;
  [[nodiscard]] Status load(const nlohmann::json& state);

 private:
  NodeId node_;
  bool transposed_ = false;
  int channel_axis_ = 0;
  std::size_t channels_ = 0;  // of the input
  std::size_t groups_ = 1;
  Shape weight_shape_;
  // Of each tap of the window, row-major: how many elements of the input it meets per element of
  // the result; less than 1 where padding takes its place.
  std::vector<double> meetings_;
  std::vector<double> sums_;  // of means, per channel
  std::uint64_t samples_ = 0;
};

// Whether a node is a convolution or linear layer whose input is quantized and whose weight is a
// quantized float constant.
[[nodiscard]] bool has_quantized_weight(const Graph& graph, const Annotations& annotations,
                                        NodeId id);

// Corrections of the layers that have a quantized weight and a bias that is a float constant and
// not quantized; none when the quantizer does not correct.
[[nodiscard]] std::vector<BiasCorrection> bias_corrections(const Graph& graph,
                                                           const EnnQuantizer& quantizer,
                                                           const Annotations& annotations);

// Adds the mean of each channel of the input of `layer` to the graph, before it. In another graph
// of the same model than the correction's, `layer` may have another number.
[[nodiscard]] ValueId add_channel_means(Graph& graph, const BiasCorrection& correction,
                                        NodeId layer);

}  // namespace enn

// What convolutions and linear layers ask of their weights and biases.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// Why neither a float nor an 8-bit kernel takes the weight of `node`: its rank, or that its values
// are computed at run time. Of input 1 of a convolution or linear layer.
[[nodiscard]] std::optional<std::string> weight_reason(const Graph& graph, const Node& node);
// That, or that the bias is computed at run time.
[[nodiscard]] std::optional<std::string> parameters_reason(const Graph& graph, const Node& node);

// The factor of each channel of the result, of a batch norm that was folded over a quantized
// weight; empty when there are none.
[[nodiscard]] std::vector<double> output_scale(const Node& node);

// Tells which channel of the result an element of the weight belongs to, by the element's row-major
// index; of a convolution, transposed or not, or of a linear layer.
class ResultChannel {
 public:
  // `weight` is the shape of the weight.
  ResultChannel(const Node& layer, const Shape& weight)
      : second_(static_cast<std::size_t>(weight[1])),
        per_group_(static_cast<std::size_t>(weight[0] / layer.attrs.integer("groups", 1))),
        transposed_(layer.attrs.boolean("transposed")) {
    for (std::size_t i = 2; i < weight.size(); ++i) inner_ *= static_cast<std::size_t>(weight[i]);
  }
  [[nodiscard]] std::size_t operator()(std::size_t i) const {
    const std::size_t first = i / (second_ * inner_);
    if (!transposed_) return first;
    return first / per_group_ * second_ + i / inner_ % second_;
  }

 private:
  std::size_t inner_ = 1;
  std::size_t second_;
  std::size_t per_group_;
  bool transposed_;
};

}  // namespace enn

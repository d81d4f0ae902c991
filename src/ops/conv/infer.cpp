#include <algorithm>

#include "ops/common.hpp"

namespace enn {

Result<std::vector<TensorType>> infer_conv(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3) return error(Code::InvalidGraph, "expected input, weight and bias");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  const std::size_t rank = weight.size();
  if (node.attrs.boolean("transposed")) {
    return std::vector<TensorType>{{input.dtype, node.attrs.integers("output_shape")}};
  }
  if (rank < 3)
    return error(Code::InvalidGraph, "weight of rank ", rank, " is not a convolution's");
  const std::size_t spatial = rank - 2;
  const bool batched = input.shape.size() == rank;
  if (!batched && input.shape.size() + 1 != rank) {
    return error(Code::InvalidGraph, "input ", list_str(input.shape), " and weight ",
                 list_str(weight), " do not fit together");
  }
  const auto stride = node.attrs.integers("stride");
  const auto dilation = node.attrs.integers("dilation");
  const auto pads = node.attrs.integers("pads");
  const std::int64_t groups = node.attrs.integer("groups", 1);
  const auto positive = [](std::int64_t x) { return x >= 1; };
  if (stride.size() != spatial || dilation.size() != spatial || pads.size() != 2 * spatial ||
      !std::all_of(stride.begin(), stride.end(), positive) ||
      !std::all_of(dilation.begin(), dilation.end(), positive) || groups < 1) {
    return error(Code::InvalidGraph, "stride, dilation, pads or groups are not a convolution's");
  }
  const std::size_t channel_dim = batched ? 1 : 0;
  if (input.shape[channel_dim] != weight[1] * groups || weight[0] % groups != 0) {
    return error(Code::InvalidGraph, "input ", list_str(input.shape), ", weight ", list_str(weight),
                 " and groups ", groups, " do not fit together");
  }
  const ValueId bias = node.inputs[2];
  if (bias != kNone && graph.value(bias).type.shape != Shape{weight[0]}) {
    return error(Code::InvalidGraph, "bias ", list_str(graph.value(bias).type.shape),
                 " does not fit weight ", list_str(weight));
  }
  Shape out(input.shape.begin(), input.shape.begin() + static_cast<std::ptrdiff_t>(channel_dim));
  out.push_back(weight[0]);
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t size =
        window_output_size(input.shape[channel_dim + 1 + i], weight[2 + i], stride[i], pads[i],
                           pads[spatial + i], dilation[i], false);
    if (size < 1) {
      return error(Code::InvalidGraph, "the kernel ", list_str(weight),
                   " is larger than the padded input ", list_str(input.shape));
    }
    out.push_back(size);
  }
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

}  // namespace enn

#include <algorithm>

#include "ops/common.hpp"

namespace enn {

namespace {

// What the window's attributes make of one spatial dimension.
std::int64_t result_extent(const Node& node, std::int64_t in, std::int64_t kernel, std::size_t i) {
  const std::size_t spatial = node.attrs.integers("stride").size();
  const std::int64_t stride = node.attrs.integers("stride")[i];
  const std::int64_t dilation = node.attrs.integers("dilation")[i];
  const std::int64_t before = node.attrs.integers("pads")[i];
  const std::int64_t behind = node.attrs.integers("pads")[spatial + i];
  if (!node.attrs.boolean("transposed")) {
    return window_output_size(in, kernel, stride, before, behind, dilation, false);
  }
  return (in - 1) * stride - before - behind + dilation * (kernel - 1) +
         node.attrs.integers("output_padding")[i] + 1;
}

}  // namespace

Result<std::vector<TensorType>> infer_conv(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 3 && !has_residual(node))
    return error(Code::InvalidGraph, "expected input, weight and bias");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  const std::size_t rank = weight.size();
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
  const bool transposed = node.attrs.boolean("transposed");
  if (transposed && node.attrs.integers("output_padding").size() != spatial) {
    return error(Code::InvalidGraph, "output_padding is not a convolution's");
  }
  const std::size_t channel_dim = batched ? 1 : 0;
  const std::int64_t channels = transposed ? weight[0] : weight[1] * groups;
  const std::int64_t results = transposed ? weight[1] * groups : weight[0];
  if (input.shape[channel_dim] != channels || weight[0] % groups != 0) {
    return error(Code::InvalidGraph, "input ", list_str(input.shape), ", weight ", list_str(weight),
                 " and groups ", groups, " do not fit together");
  }
  const ValueId bias = node.inputs[2];
  if (bias != kNone && graph.value(bias).type.shape != Shape{results}) {
    return error(Code::InvalidGraph, "bias ", list_str(graph.value(bias).type.shape),
                 " does not fit weight ", list_str(weight));
  }
  Shape out(input.shape.begin(), input.shape.begin() + static_cast<std::ptrdiff_t>(channel_dim));
  out.push_back(results);
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t size =
        result_extent(node, input.shape[channel_dim + 1 + i], weight[2 + i], i);
    if (size < 1) {
      return error(Code::InvalidGraph, "the kernel ", list_str(weight),
                   " is larger than the padded input ", list_str(input.shape));
    }
    out.push_back(size);
  }
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

}  // namespace enn

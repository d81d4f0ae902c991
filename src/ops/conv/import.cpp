// Convolution: operands input [N, C, H, W], weight [K, C / groups, R, S], bias [K] or none; also
// with one spatial dimension and without the batch. When transposed, weight [C, K / groups, R, S].
// Attributes: stride, dilation [2]; pads [top, left, bottom, right]; groups; transposed and
// output_padding; activation_min and activation_max once an activation is fused.
#include "ops/common.hpp"

namespace enn {
namespace {

// Padding by name as ATen's conv2d.padding has it. "same" puts the odd one behind.
Result<std::vector<std::int64_t>> named_pads(const Call& call, const std::string& name,
                                             const Shape& weight,
                                             const std::vector<std::int64_t>& dilation) {
  const std::size_t spatial = dilation.size();
  std::vector<std::int64_t> pads(2 * spatial, 0);
  if (name == "valid") return std::vector(std::move(pads));
  if (name != "same") {
    return error(Code::InvalidArgument, "node '", call.name, "': padding '", name,
                 "' is not known");
  }
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t total = dilation[i] * (weight[2 + i] - 1);
    pads[i] = total / 2;
    pads[spatial + i] = total - total / 2;
  }
  return std::vector(std::move(pads));
}

Result<NodeId> add_convolution(Graph& graph, const Call& call, Op op, bool transposed) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId weight, args.tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  const std::size_t rank = graph.value(weight).type.shape.size();
  const std::size_t spatial = rank < 2 ? 0 : rank - 2;
  Attributes attrs;
  ENN_ASSIGN(auto stride, args.expanded("stride", spatial, std::vector<std::int64_t>(spatial, 1)));
  ENN_ASSIGN(auto dilation,
             args.expanded("dilation", spatial, std::vector<std::int64_t>(spatial, 1)));
  const Argument* padding = args.find("padding");
  std::vector<std::int64_t> pads;
  if (padding != nullptr && std::holds_alternative<std::string>(*padding)) {
    ENN_ASSIGN(pads, named_pads(call, std::get<std::string>(*padding),
                                graph.value(weight).type.shape, dilation));
  } else {
    ENN_ASSIGN(pads, args.expanded("padding", spatial, std::vector<std::int64_t>(spatial, 0)));
    pads.insert(pads.end(), pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  }
  ENN_ASSIGN(const std::int64_t groups, args.integer("groups", 1));
  attrs.set("stride", std::move(stride));
  attrs.set("dilation", std::move(dilation));
  attrs.set("pads", std::move(pads));
  attrs.set("groups", groups);
  if (transposed) {
    ENN_ASSIGN(auto output_padding,
               args.expanded("output_padding", spatial, std::vector<std::int64_t>(spatial, 0)));
    attrs.set("transposed", true);
    attrs.set("output_padding", std::move(output_padding));
  }
  return NodeId{add_call(graph, call, op, {input, weight, bias}, std::move(attrs))};
}

}  // namespace

Result<NodeId> import_convolution(Graph& graph, const Call& call, Op op) {
  ENN_ASSIGN(const bool transposed, Arguments(call).boolean("transposed", false));
  return add_convolution(graph, call, op, transposed);
}

Result<NodeId> import_conv_transpose(Graph& graph, const Call& call, Op op) {
  return add_convolution(graph, call, op, true);
}

}  // namespace enn

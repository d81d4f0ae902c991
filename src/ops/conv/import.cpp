// Convolution: operands input [N, C, H, W], weight [K, C / groups, R, S], bias [K] or none.
// Attributes: stride, dilation [2]; pads [top, left, bottom, right]; groups; transposed;
// activation_min and activation_max once an activation is fused.
#include "ops/common.hpp"

namespace enn {
namespace {

// Padding by name as ATen's conv2d.padding has it. "same" puts the odd one behind.
Result<std::vector<std::int64_t>> named_pads(const Call& call, const std::string& name,
                                             const Shape& weight,
                                             const std::vector<std::int64_t>& dilation) {
  if (name == "valid") return std::vector<std::int64_t>(4, 0);
  if (name != "same" || weight.size() != 4) {
    return error(Code::InvalidArgument, "node '", call.name, "': padding '", name,
                 "' is not known");
  }
  const std::int64_t total_h = dilation[0] * (weight[2] - 1);
  const std::int64_t total_w = dilation[1] * (weight[3] - 1);
  return std::vector<std::int64_t>{total_h / 2, total_w / 2, total_h - total_h / 2,
                                   total_w - total_w / 2};
}

}  // namespace

Result<NodeId> import_convolution(Graph& graph, const Call& call, Op op) {
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
  ENN_ASSIGN(const bool transposed, args.boolean("transposed", false));
  attrs.set("stride", std::move(stride));
  attrs.set("dilation", std::move(dilation));
  attrs.set("pads", std::move(pads));
  attrs.set("groups", groups);
  if (transposed) {
    attrs.set("transposed", true);
    // Only kept, not modelled: the shape is the call's.
    attrs.set("output_shape", call.results.front().shape);
  }
  return NodeId{add_call(graph, call, op, {input, weight, bias}, std::move(attrs))};
}

}  // namespace enn

// MaxPool2d, AvgPool2d over [N, C, H, W]. Attributes: kernel, stride, dilation [2]; pads [top,
// left, bottom, right]; ceil_mode; for averages count_include_pad and divisor_override (0: none).
// An adaptive average whose windows are all alike is an AvgPool2d; one whose windows differ keeps
// output_size and is not taken.
#include <array>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

// The attributes that both kinds of pooling have.
Result<Attributes> window_attributes(const Arguments& args) {
  Attributes attrs;
  ENN_ASSIGN(List kernel, args.expanded("kernel_size", 2, {1, 1}));
  ENN_ASSIGN(List stride, args.expanded("stride", 2, kernel));
  ENN_ASSIGN(List pads, args.expanded("padding", 2, {0, 0}));
  ENN_ASSIGN(List dilation, args.expanded("dilation", 2, {1, 1}));
  ENN_ASSIGN(const bool ceil_mode, args.boolean("ceil_mode", false));
  pads.insert(pads.end(), {pads[0], pads[1]});
  attrs.set("kernel", std::move(kernel));
  attrs.set("stride", std::move(stride));
  attrs.set("pads", std::move(pads));
  attrs.set("dilation", std::move(dilation));
  attrs.set("ceil_mode", ceil_mode);
  return Attributes(std::move(attrs));
}

}  // namespace

Result<NodeId> import_max_pool2d(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(Attributes attrs, window_attributes(args));
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_avg_pool2d(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(Attributes attrs, window_attributes(args));
  ENN_ASSIGN(const bool count_include_pad, args.boolean("count_include_pad", true));
  ENN_ASSIGN(const std::int64_t divisor, args.integer("divisor_override", 0));
  attrs.set("count_include_pad", count_include_pad);
  attrs.set("divisor_override", divisor);
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> import_adaptive_avg_pool2d(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const List size, args.expanded("output_size", 2, {1, 1}));
  const Shape& shape = graph.value(input).type.shape;
  Attributes attrs;
  if (shape.size() >= 2 && size[0] > 0 && size[1] > 0 && shape[shape.size() - 2] % size[0] == 0 &&
      shape[shape.size() - 1] % size[1] == 0) {
    const List kernel{shape[shape.size() - 2] / size[0], shape[shape.size() - 1] / size[1]};
    attrs.set("kernel", kernel);
    attrs.set("stride", kernel);
    attrs.set("pads", List(4, 0));
    attrs.set("dilation", List{1, 1});
    attrs.set("ceil_mode", false);
    attrs.set("count_include_pad", true);
    attrs.set("divisor_override", std::int64_t{0});
  } else {
    attrs.set("output_size", size);
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_pool(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const std::size_t rank = input.shape.size();
  if (rank != 3 && rank != 4)
    return error(Code::InvalidGraph, "input ", list_str(input.shape), " is not an image");
  Shape out = input.shape;
  if (node.attrs.has("output_size")) {
    const List size = node.attrs.integers("output_size");
    if (size.size() != 2) return error(Code::InvalidGraph, "output_size must have two entries");
    out[rank - 2] = size[0];
    out[rank - 1] = size[1];
    return std::vector<TensorType>{{input.dtype, std::move(out)}};
  }
  const List kernel = node.attrs.integers("kernel");
  const List stride = node.attrs.integers("stride");
  const List pads = node.attrs.integers("pads");
  const List dilation = node.attrs.integers("dilation");
  if (kernel.size() != 2 || stride.size() != 2 || pads.size() != 4 || dilation.size() != 2) {
    return error(Code::InvalidGraph, "kernel, stride, pads or dilation are incomplete");
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (kernel[i] < 1 || stride[i] < 1 || dilation[i] < 1) {
      return error(Code::InvalidGraph, "kernel, stride and dilation must be positive");
    }
    const std::int64_t size =
        window_output_size(input.shape[rank - 2 + i], kernel[i], stride[i], pads[i], pads[2 + i],
                           dilation[i], node.attrs.boolean("ceil_mode"));
    if (size < 1) {
      return error(Code::InvalidGraph, "the window ", list_str(kernel),
                   " is larger than the padded input ", list_str(input.shape));
    }
    out[rank - 2 + i] = size;
  }
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

std::optional<std::string> support_pool(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32})) return reason;
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  if (shape.size() != 4)
    return str("its input has rank ", shape.size(), "; only a batch of images (rank 4) is taken");
  if (node.attrs.has("output_size")) {
    return str("adaptive pooling of ", list_str(shape), " to ",
               list_str(node.attrs.integers("output_size")), " has windows of different sizes");
  }
  if (node.attrs.integer("divisor_override") < 0) return "a negative divisor_override is not taken";
  return std::nullopt;
}

void annotate_pool(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  if (graph.node(node).op == Op::MaxPool2d) {
    annotate_shared(graph, node, config, annotations);
  } else {
    annotate_all(graph, node, config, annotations);
  }
}

Traits traits_pool(const Graph&, const Node& node) {
  return {LayoutRule::ChannelsLast,
          node.op == Op::MaxPool2d ? QuantizedForm::Moves : QuantizedForm::Computes};
}

Status lower_pool(const Graph&, const Node& node, ProgramBuilder& builder) {
  const auto at = [&](const char* name, std::size_t i) {
    return static_cast<std::uint32_t>(node.attrs.integers(name)[i]);
  };
  program::Pool2DT op;
  op.kind = node.op == Op::MaxPool2d ? program::PoolKind_Max : program::PoolKind_Average;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.kernel_h = at("kernel", 0);
  op.kernel_w = at("kernel", 1);
  op.stride_h = at("stride", 0);
  op.stride_w = at("stride", 1);
  op.pad_top = at("pads", 0);
  op.pad_left = at("pads", 1);
  op.dilation_h = at("dilation", 0);
  op.dilation_w = at("dilation", 1);
  op.count_include_pad = node.attrs.boolean("count_include_pad", true);
  op.divisor_override = static_cast<std::uint32_t>(node.attrs.integer("divisor_override"));
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

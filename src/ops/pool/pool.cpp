// MaxPool2d, AvgPool2d over [N, C, H, W], [C, H, W] and, with spatial 1, [N, C, W] and [C, W].
// Attributes, for two dimensions always: kernel, stride, dilation; pads [top, left, bottom, right];
// ceil_mode; for averages count_include_pad and divisor_override (0: none). An adaptive pooling
// whose windows are all alike is a usual one; else it has output_size only. A second result holds
// the places of the maxima.
#include <array>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

// A list for two dimensions from the argument of an overload with `spatial` ones.
Result<List> window_list(const Arguments& args, std::string_view name, std::size_t spatial,
                         std::int64_t neutral, const List& otherwise) {
  const List last(otherwise.end() - static_cast<std::ptrdiff_t>(spatial), otherwise.end());
  ENN_ASSIGN(List list, args.expanded(name, spatial, last));
  list.insert(list.begin(), 2 - spatial, neutral);
  return List(std::move(list));
}

// The attributes that both kinds of pooling have.
Result<Attributes> window_attributes(const Arguments& args, std::size_t spatial) {
  Attributes attrs;
  ENN_ASSIGN(List kernel, window_list(args, "kernel_size", spatial, 1, {1, 1}));
  ENN_ASSIGN(List stride, window_list(args, "stride", spatial, 1, kernel));
  ENN_ASSIGN(List pads, window_list(args, "padding", spatial, 0, {0, 0}));
  ENN_ASSIGN(List dilation, window_list(args, "dilation", spatial, 1, {1, 1}));
  ENN_ASSIGN(const bool ceil_mode, args.boolean("ceil_mode", false));
  pads.insert(pads.end(), {pads[0], pads[1]});
  attrs.set("kernel", std::move(kernel));
  attrs.set("stride", std::move(stride));
  attrs.set("pads", std::move(pads));
  attrs.set("dilation", std::move(dilation));
  attrs.set("ceil_mode", ceil_mode);
  if (spatial == 1) attrs.set("spatial", std::int64_t{1});
  return Attributes(std::move(attrs));
}

Result<NodeId> add_pool(Graph& graph, const Call& call, Op op, std::size_t spatial) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(Attributes attrs, window_attributes(args, spatial));
  if (op == Op::AvgPool2d) {
    ENN_ASSIGN(const bool count_include_pad, args.boolean("count_include_pad", true));
    ENN_ASSIGN(const std::int64_t divisor, args.integer("divisor_override", 0));
    attrs.set("count_include_pad", count_include_pad);
    attrs.set("divisor_override", divisor);
  }
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<NodeId> add_adaptive_pool(Graph& graph, const Call& call, Op op, std::size_t spatial) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const List size, window_list(args, "output_size", spatial, 1, {1, 1}));
  List image{1, 1};
  const Shape& shape = graph.value(input).type.shape;
  for (std::size_t i = 0; i < std::min(spatial, shape.size()); ++i) {
    image[1 - i] = shape[shape.size() - 1 - i];
  }
  Attributes attrs;
  if (size[0] > 0 && size[1] > 0 && image[0] % size[0] == 0 && image[1] % size[1] == 0) {
    const List kernel{image[0] / size[0], image[1] / size[1]};
    attrs.set("kernel", kernel);
    attrs.set("stride", kernel);
    attrs.set("pads", List(4, 0));
    attrs.set("dilation", List{1, 1});
    attrs.set("ceil_mode", false);
    if (op == Op::AvgPool2d) {
      attrs.set("count_include_pad", true);
      attrs.set("divisor_override", std::int64_t{0});
    }
  } else {
    attrs.set("output_size", size);
  }
  if (spatial == 1) attrs.set("spatial", std::int64_t{1});
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

// Height and width of the result, or why there is none.
Result<List> result_size(const Node& node, const List& image) {
  if (node.attrs.has("output_size")) {
    List size = node.attrs.integers("output_size");
    if (size.size() != 2 || size[0] < 0 || size[1] < 0) {
      return error(Code::InvalidGraph, "output_size ", list_str(size), " is no image's");
    }
    return List(std::move(size));
  }
  const List kernel = node.attrs.integers("kernel");
  const List stride = node.attrs.integers("stride");
  const List pads = node.attrs.integers("pads");
  const List dilation = node.attrs.integers("dilation");
  if (kernel.size() != 2 || stride.size() != 2 || pads.size() != 4 || dilation.size() != 2) {
    return error(Code::InvalidGraph, "kernel, stride, pads or dilation are incomplete");
  }
  List out;
  for (std::size_t i = 0; i < 2; ++i) {
    if (kernel[i] < 1 || stride[i] < 1 || dilation[i] < 1) {
      return error(Code::InvalidGraph, "kernel, stride and dilation must be positive");
    }
    out.push_back(window_output_size(image[i], kernel[i], stride[i], pads[i], pads[2 + i],
                                     dilation[i], node.attrs.boolean("ceil_mode")));
    if (out.back() < 1) {
      return error(Code::InvalidGraph, "the window ", list_str(kernel),
                   " is larger than the padded input ", list_str(image));
    }
  }
  return List(std::move(out));
}

}  // namespace

Result<NodeId> import_max_pool2d(Graph& graph, const Call& call, Op op) {
  return add_pool(graph, call, op, 2);
}

Result<NodeId> import_max_pool1d(Graph& graph, const Call& call, Op op) {
  return add_pool(graph, call, op, 1);
}

Result<NodeId> import_avg_pool2d(Graph& graph, const Call& call, Op op) {
  return add_pool(graph, call, op, 2);
}

Result<NodeId> import_avg_pool1d(Graph& graph, const Call& call, Op op) {
  return add_pool(graph, call, op, 1);
}

Result<NodeId> import_adaptive_pool2d(Graph& graph, const Call& call, Op op) {
  return add_adaptive_pool(graph, call, op, 2);
}

Result<NodeId> import_adaptive_pool1d(Graph& graph, const Call& call, Op op) {
  return add_adaptive_pool(graph, call, op, 1);
}

Result<std::vector<TensorType>> infer_pool(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1 || node.outputs.empty() || node.outputs.size() > 2) {
    return error(Code::InvalidGraph, "expected one operand and one or two results");
  }
  const TensorType& input = graph.value(node.inputs[0]).type;
  const auto spatial = static_cast<std::size_t>(node.attrs.integer("spatial", 2));
  const std::size_t rank = input.shape.size();
  if (spatial < 1 || spatial > 2 || (rank != spatial + 1 && rank != spatial + 2)) {
    return error(Code::InvalidGraph, "input ", list_str(input.shape), " is not an image");
  }
  List image{1, 1};
  for (std::size_t i = 0; i < spatial; ++i) image[1 - i] = input.shape[rank - 1 - i];
  ENN_ASSIGN(const List size, result_size(node, image));
  Shape out = input.shape;
  for (std::size_t i = 0; i < spatial; ++i) out[rank - 1 - i] = size[1 - i];
  std::vector<TensorType> types{{input.dtype, out}};
  if (node.outputs.size() == 2) types.push_back({DType::Int64, std::move(out)});
  return std::vector<TensorType>(std::move(types));
}

std::optional<std::string> support_pool(const Graph& graph, const Node& node) {
  if (auto reason = dtype_reason(graph, node, std::array{DType::Float32, DType::Int64})) {
    return reason;
  }
  const TensorType& input = graph.value(node.inputs[0]).type;
  if (input.dtype == DType::Int64) return "it works on int64, which pooling does not take";
  if (numel(graph.value(node.outputs[0]).type.shape) == 0 || numel(input.shape) == 0) {
    return "its input or its result is empty";
  }
  if (node.outputs.size() == 2 &&
      (!graph.users(node.outputs[1]).empty() || graph.is_output(node.outputs[1]))) {
    return "the places of the maxima are used";
  }
  if (node.attrs.integer("divisor_override") < 0) return "a negative divisor_override is not taken";
  return std::nullopt;
}

void annotate_pool(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  const Node& n = graph.node(node);
  // A node with several results is read through its parts, which torchao observes on their own.
  if (n.outputs.size() > 1) return;
  // A maximum and an average lie within the operand's range, whatever calibration saw. That of a
  // whole map is far narrower.
  const Shape& shape = graph.value(n.outputs.front()).type.shape;
  const bool global = shape.back() == 1 && (shape.size() < 4 || shape[shape.size() - 2] == 1);
  if (n.attrs.integer("divisor_override", 0) != 0 || (n.op == Op::AvgPool2d && global)) {
    annotate_all(graph, node, config, annotations);
  } else {
    annotate_shared(graph, node, config, annotations);
  }
}

Traits traits_pool(const Graph&, const Node& node) {
  return {LayoutRule::ChannelsLast,
          node.op == Op::MaxPool2d ? QuantizedForm::Moves : QuantizedForm::Computes};
}

Status lower_pool(const Graph&, const Node& node, ProgramBuilder& builder) {
  program::Pool2DT op;
  op.kind = node.op == Op::MaxPool2d ? program::PoolKind_Max : program::PoolKind_Average;
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  if (node.attrs.has("output_size")) {
    op.adaptive = true;
    op.kernel_h = 1;
    op.kernel_w = 1;
    builder.emit(node, std::move(op));
    return {};
  }
  const auto at = [&](const char* name, std::size_t i) {
    return static_cast<std::uint32_t>(node.attrs.integers(name)[i]);
  };
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

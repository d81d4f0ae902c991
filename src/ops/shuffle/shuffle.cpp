// Dimensions are split into parts, the parts permuted and joined again: pixel and channel shuffles.
// Attributes: parts (their sizes, in the operand's order), part_dims (the operand's dimension that
// each belongs to), order (which part comes at each place of the result), result_dims (the result's
// dimension of each place); part_dims and result_dims ascend.
#include <algorithm>
#include <array>
#include <utility>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

struct Parts {
  List sizes;
  List dims;
  List order;
  List result_dims;

  // A part of an operand's dimension.
  void add(std::int64_t size, std::int64_t dim) {
    sizes.push_back(size);
    dims.push_back(dim);
  }
  void place(std::int64_t part, std::int64_t dim) {
    order.push_back(part);
    result_dims.push_back(dim);
  }
};

NodeId add_shuffle(Graph& graph, const Call& call, Op op, ValueId input, Parts parts) {
  Attributes attrs;
  attrs.set("parts", std::move(parts.sizes));
  attrs.set("part_dims", std::move(parts.dims));
  attrs.set("order", std::move(parts.order));
  attrs.set("result_dims", std::move(parts.result_dims));
  return add_call(graph, call, op, {input}, std::move(attrs));
}

// The operand's shape, with at least `rank` dimensions.
Result<Shape> shape_of(const Graph& graph, const Call& call, ValueId id, std::size_t rank) {
  const Shape& shape = graph.value(id).type.shape;
  if (shape.size() >= rank) return Shape(shape);
  return error(Code::InvalidArgument, "node '", call.name, "' (", call.target, "): its input ",
               list_str(shape), " has fewer than ", rank, " dimensions");
}

Status check_divides(const Call& call, std::int64_t factor, std::int64_t size) {
  if (factor >= 1 && size % factor == 0) return {};
  return error(Code::InvalidArgument, "node '", call.name, "' (", call.target, "): ", factor,
               " does not divide ", size);
}

}  // namespace

Result<NodeId> import_pixel_shuffle(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t factor, args.integer("upscale_factor"));
  ENN_ASSIGN(const Shape shape, shape_of(graph, call, input, 3));
  const auto channel = static_cast<std::int64_t>(shape.size()) - 3;
  const std::int64_t channels = shape[static_cast<std::size_t>(channel)];
  ENN_TRY(check_divides(call, factor, channels));
  ENN_TRY(check_divides(call, factor, channels / factor));
  Parts parts;
  for (std::int64_t d = 0; d < channel; ++d) {
    parts.add(shape[static_cast<std::size_t>(d)], d);
    parts.place(d, d);
  }
  parts.add(channels / (factor * factor), channel);
  parts.add(factor, channel);
  parts.add(factor, channel);
  parts.add(shape[shape.size() - 2], channel + 1);
  parts.add(shape[shape.size() - 1], channel + 2);
  parts.place(channel, channel);
  parts.place(channel + 3, channel + 1);
  parts.place(channel + 1, channel + 1);
  parts.place(channel + 4, channel + 2);
  parts.place(channel + 2, channel + 2);
  return add_shuffle(graph, call, op, input, std::move(parts));
}

Result<NodeId> import_pixel_unshuffle(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t factor, args.integer("downscale_factor"));
  ENN_ASSIGN(const Shape shape, shape_of(graph, call, input, 3));
  const auto channel = static_cast<std::int64_t>(shape.size()) - 3;
  Parts parts;
  for (std::int64_t d = 0; d <= channel; ++d) {
    parts.add(shape[static_cast<std::size_t>(d)], d);
    parts.place(d, d);
  }
  for (std::int64_t d = channel + 1; d <= channel + 2; ++d) {
    const std::int64_t size = shape[static_cast<std::size_t>(d)];
    ENN_TRY(check_divides(call, factor, size));
    parts.add(size / factor, d);
    parts.add(factor, d);
  }
  parts.place(channel + 2, channel);
  parts.place(channel + 4, channel);
  parts.place(channel + 1, channel + 1);
  parts.place(channel + 3, channel + 2);
  return add_shuffle(graph, call, op, input, std::move(parts));
}

Result<NodeId> import_channel_shuffle(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("self"));
  ENN_ASSIGN(const std::int64_t groups, args.integer("groups"));
  ENN_ASSIGN(const Shape shape, shape_of(graph, call, input, 2));
  ENN_TRY(check_divides(call, groups, shape[1]));
  Parts parts;
  parts.add(shape[0], 0);
  parts.add(groups, 1);
  parts.add(shape[1] / groups, 1);
  parts.place(0, 0);
  parts.place(2, 1);
  parts.place(1, 1);
  for (std::size_t d = 2; d < shape.size(); ++d) {
    parts.add(shape[d], static_cast<std::int64_t>(d));
    parts.place(static_cast<std::int64_t>(d) + 1, static_cast<std::int64_t>(d));
  }
  return add_shuffle(graph, call, op, input, std::move(parts));
}

Result<std::vector<TensorType>> infer_shuffle(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  const List sizes = node.attrs.integers("parts");
  const List dims = node.attrs.integers("part_dims");
  const List order = node.attrs.integers("order");
  const List result_dims = node.attrs.integers("result_dims");
  List sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool fits = !sizes.empty() && dims.size() == sizes.size() && order.size() == sizes.size() &&
              result_dims.size() == sizes.size() && std::is_sorted(dims.begin(), dims.end()) &&
              std::is_sorted(result_dims.begin(), result_dims.end());
  Shape split(input.shape.size(), 1);
  Shape out;
  for (std::size_t i = 0; i < sizes.size() && fits; ++i) {
    fits = sorted[i] == static_cast<std::int64_t>(i) && sizes[i] >= 0 && dims[i] >= 0 &&
           dims[i] < static_cast<std::int64_t>(split.size()) && result_dims[i] >= 0 &&
           result_dims[i] <= static_cast<std::int64_t>(out.size());
    if (!fits) break;
    split[static_cast<std::size_t>(dims[i])] *= sizes[i];
    if (result_dims[i] == static_cast<std::int64_t>(out.size())) out.push_back(1);
    out[static_cast<std::size_t>(result_dims[i])] *= sizes[static_cast<std::size_t>(order[i])];
  }
  if (!fits || split != input.shape) {
    return error(Code::InvalidGraph, "parts ", list_str(sizes), " in the order ", list_str(order),
                 " do not fit ", list_str(input.shape));
  }
  return std::vector<TensorType>{{input.dtype, std::move(out)}};
}

std::optional<std::string> support_shuffle(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.outputs[0]).type.shape;
  if (numel(shape) == 0) return "its result is empty";
  if (shape.size() > 6) return str("rank ", shape.size(), " is above 6");
  return dtype_reason(graph, node,
                      std::array{DType::Float32, DType::Int8, DType::UInt8, DType::Int32,
                                 DType::Int64, DType::Bool});
}

void annotate_shuffle(const Graph& graph, NodeId node, const QuantizationConfig& config,
                      Annotations& annotations) {
  annotate_shared(graph, node, config, annotations);
}

Traits traits_shuffle(const Graph&, const Node&) {
  return {LayoutRule::Same, QuantizedForm::Moves};
}

Status lower_shuffle(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  const List sizes = node.attrs.integers("parts");
  const List dims = node.attrs.integers("part_dims");
  const List order = node.attrs.integers("order");
  const List result_dims = node.attrs.integers("result_dims");
  const Shape shape = physical_shape(input);
  List memory(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) memory[d - 1] = memory[d] * shape[d];
  // Elements in memory between two indices of each part.
  List strides(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    const bool innermost = i + 1 == sizes.size() || dims[i + 1] != dims[i];
    strides[i] = innermost ? memory[physical_dim(input, dims[i])] : strides[i + 1] * sizes[i + 1];
  }
  // The places of the result in its order in memory.
  std::vector<std::size_t> places(order.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    const auto key = [&](std::size_t place) {
      return std::pair(physical_dim(output, result_dims[place]), place);
    };
    return key(a) < key(b);
  });
  program::StridedT op;
  Shape split;
  for (const std::size_t place : places) {
    const auto part = static_cast<std::size_t>(order[place]);
    if (sizes[part] == 1) continue;
    split.push_back(sizes[part]);
    op.strides.push_back(strides[part]);
  }
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write_as(node.outputs[0], split);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

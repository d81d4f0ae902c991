// An image [N, C, H, W] read at the places of a grid [N, P, Q, 2]: [N, C, P, Q]. Attributes: mode
// (nearest, linear, cubic), padding (zeros, border, reflection), align_corners.
#include <array>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"
#include "ops/resample/resample.hpp"

namespace enn {
namespace {

constexpr std::array kModes{"linear", "nearest", "cubic"};
constexpr std::array kPaddings{"zeros", "border", "reflection"};

// `count` places from -1 to 1, as torch.linspace spaces them: the ends, or the middles of as many
// equal parts.
std::vector<float> linspace(std::int64_t count, bool align_corners) {
  if (count == 1) return {0.0F};
  const auto steps = static_cast<float>(count - 1);
  const float step = 2.0F / steps;
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    float place = i < count / 2 ? -1.0F + step * static_cast<float>(i)
                                : 1.0F - step * static_cast<float>(count - 1 - i);
    if (!align_corners) place = place * steps / static_cast<float>(count);
    out.push_back(place);
  }
  return out;
}

}  // namespace

// (x, y, 1) of each place of an image [N, C, H, W] times the transposed theta [N, 2, 3]: a grid
// [N, H, W, 2].
Result<NodeId> import_affine_grid(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId theta, args.tensor("theta"));
  ENN_ASSIGN(const Shape size, args.integers("size"));
  ENN_ASSIGN(const bool align_corners, args.boolean("align_corners", false));
  const TensorType type = graph.value(theta).type;
  constexpr std::int64_t kMostPlaces = 1 << 26;
  const bool fits = size.size() == 4 && type.shape == Shape{size[0], 2, 3} && size[2] > 0 &&
                    size[3] > 0 && size[2] <= kMostPlaces / size[3];
  if (!fits) return NodeId{add_call(graph, call, Op::Unknown, {theta})};
  std::vector<float> places;
  for (const float y : linspace(size[2], align_corners)) {
    for (const float x : linspace(size[3], align_corners)) places.insert(places.end(), {x, y, 1});
  }
  const std::int64_t count = size[2] * size[3];
  const ValueId base = add_float_constant(graph, call.name + ".places", {1, count, 3}, places);
  Attributes dims = internal_attributes();
  dims.set("dims", std::vector<std::int64_t>{0, 2, 1});
  const ValueId transposed = internal_value(graph, Op::Permute, call.name + ".transposed", {theta},
                                            {type.dtype, {size[0], 3, 2}}, std::move(dims));
  const ValueId product = internal_value(graph, Op::MatMul, call.name + ".product",
                                         {base, transposed}, {type.dtype, {size[0], count, 2}});
  Attributes shape;
  shape.set("shape", Shape{size[0], size[2], size[3], 2});
  return NodeId{add_call(graph, call, op, {product}, std::move(shape))};
}

Result<NodeId> import_grid_sample(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const ValueId grid, args.tensor("grid"));
  ENN_ASSIGN(const std::int64_t mode, args.integer("interpolation_mode"));
  ENN_ASSIGN(const std::int64_t padding, args.integer("padding_mode"));
  ENN_ASSIGN(const bool align_corners, args.boolean("align_corners", false));
  const auto is_listed = [](std::int64_t index, const auto& list) {
    return index >= 0 && index < static_cast<std::int64_t>(list.size());
  };
  if (!is_listed(mode, kModes) || !is_listed(padding, kPaddings)) {
    return error(Code::InvalidArgument, "node '", call.name, "' (", call.target,
                 ") has interpolation_mode ", mode, " and padding_mode ", padding);
  }
  Attributes attrs;
  attrs.set("mode", std::string(kModes[static_cast<std::size_t>(mode)]));
  attrs.set("padding", std::string(kPaddings[static_cast<std::size_t>(padding)]));
  attrs.set("align_corners", align_corners);
  return NodeId{add_call(graph, call, op, {input, grid}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_grid_sample(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return error(Code::InvalidGraph, "expected two operands");
  TensorType type = graph.value(node.inputs[0]).type;
  const Shape& grid = graph.value(node.inputs[1]).type.shape;
  const std::size_t rank = type.shape.size();
  const bool fits = (rank == 4 || rank == 5) && grid.size() == rank && grid[0] == type.shape[0] &&
                    grid.back() == static_cast<std::int64_t>(rank) - 2;
  if (!fits) {
    return error(Code::InvalidGraph, "a grid of shape ", list_str(grid), " does not fit input ",
                 list_str(type.shape));
  }
  std::copy(grid.begin() + 1, grid.end() - 1, type.shape.begin() + 2);
  return std::vector<TensorType>{std::move(type)};
}

std::optional<std::string> support_grid_sample(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  if (shape.size() == 5) return "sampling in three dimensions is not taken";
  if (numel(shape) == 0 || numel(graph.value(node.outputs[0]).type.shape) == 0) {
    return "its input or its result is empty";
  }
  return dtype_reason(graph, node, std::array{DType::Float32});
}

// The grid stays in float: 8 bits from -1 to 1 would be less than a pixel of most images.
void annotate_grid_sample(const Graph& graph, NodeId node, const QuantizationConfig& config,
                          Annotations& annotations) {
  const Node& n = graph.node(node);
  if (n.attrs.text("mode") != "nearest") return annotate_first(graph, node, config, annotations);
  if (!is_float_value(graph, n.inputs[0])) return;
  annotations.set(node, {.inputs = {{n.inputs[0], config.activation}},
                         .output = SharedSpec{n.inputs[0], node}});
}

Traits traits_grid_sample(const Graph&, const Node&) {
  return {.layout = LayoutRule::ChannelsLast,
          .quantized = QuantizedForm::Computes,
          .parameters_from = 1};
}

Status lower_grid_sample(const Graph&, const Node& node, ProgramBuilder& builder) {
  const std::string padding = node.attrs.text("padding");
  program::GridSampleT op;
  op.kind = resample_kind(node);
  op.padding = padding == "border"       ? program::GridPadding_Border
               : padding == "reflection" ? program::GridPadding_Reflection
                                         : program::GridPadding_Zeros;
  op.input = builder.read(node.inputs[0]);
  op.grid = builder.read(node.inputs[1]);
  op.output = builder.write(node.outputs[0]);
  op.align_corners = node.attrs.boolean("align_corners");
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

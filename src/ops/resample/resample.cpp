// Resampling of [N, C, H, W] and, with spatial 1, [N, C, W]. Attributes, for two dimensions always:
// mode (nearest, nearest_exact, linear, cubic), output_size, scales (given factors, 0 where the
// sizes decide), align_corners.
#include "ops/resample/resample.hpp"

#include <array>

#include "ops/common.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

std::string mode_of(std::string_view target) {
  const auto has = [&](std::string_view part) { return target.find(part) != target.npos; };
  if (has("nearest_exact")) return "nearest_exact";
  if (has("nearest")) return "nearest";
  return has("cubic") ? "cubic" : "linear";
}

// The factor that the call gives for one dimension, or 0.
Result<double> given_scale(const Arguments& args, std::size_t i, std::size_t spatial) {
  if (args.has("scale_factors")) {
    const Argument* list = args.find("scale_factors");
    if (const auto* reals = std::get_if<std::vector<double>>(list)) {
      return i < reals->size() ? (*reals)[i] : 0.0;
    }
    ENN_ASSIGN(const List integers, args.integers("scale_factors"));
    return i < integers.size() ? static_cast<double>(integers[i]) : 0.0;
  }
  if (spatial == 1) return args.number("scales", 0.0);
  return args.number(i == 0 ? "scales_h" : "scales_w", 0.0);
}

// ATen's area_pixel_compute_scale in float32.
float source_ratio(std::int64_t in, std::int64_t out, double scale, bool align_corners) {
  if (align_corners) {
    return out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.0F;
  }
  return scale > 0.0 ? static_cast<float>(1.0 / scale)
                     : static_cast<float>(in) / static_cast<float>(out);
}

}  // namespace

Result<NodeId> import_upsample(Graph& graph, const Call& call, Op op) {
  const Arguments args(call);
  ENN_ASSIGN(const ValueId input, args.tensor(args.has("input") ? "input" : "self"));
  ENN_ASSIGN(const bool align_corners, args.boolean("align_corners", false));
  const std::size_t spatial = call.target.find("1d") != std::string::npos ? 1 : 2;
  List size{1, 1};
  std::vector<double> scales(2, 0.0);
  const Shape& result = call.results.front().shape;
  if (result.size() != spatial + 2) {
    return error(Code::InvalidArgument, "node '", call.name, "' (", call.target,
                 ") has a result of shape ", list_str(result));
  }
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::size_t at = 2 - spatial + i;
    size[at] = result[2 + i];
    ENN_ASSIGN(scales[at], given_scale(args, i, spatial));
  }
  Attributes attrs;
  attrs.set("mode", mode_of(call.target));
  attrs.set("output_size", std::move(size));
  attrs.set("scales", std::move(scales));
  attrs.set("align_corners", align_corners);
  if (spatial == 1) attrs.set("spatial", std::int64_t{1});
  return NodeId{add_call(graph, call, op, {input}, std::move(attrs))};
}

Result<std::vector<TensorType>> infer_resample(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  TensorType type = graph.value(node.inputs[0]).type;
  const auto spatial = static_cast<std::size_t>(node.attrs.integer("spatial", 2));
  const List size = node.attrs.integers("output_size");
  if (spatial < 1 || spatial > 2 || type.shape.size() != spatial + 2 || size.size() != 2) {
    return error(Code::InvalidGraph, "input ", list_str(type.shape), " is not an image");
  }
  for (std::size_t i = 0; i < spatial; ++i) type.shape[2 + i] = size[2 - spatial + i];
  return std::vector<TensorType>{std::move(type)};
}

std::optional<std::string> support_resample(const Graph& graph, const Node& node) {
  if (numel(graph.value(node.inputs[0]).type.shape) == 0 ||
      numel(graph.value(node.outputs[0]).type.shape) == 0) {
    return "its input or its result is empty";
  }
  if (graph.value(node.outputs[0]).type.shape.back() > 1 << 18) {
    return str("its result has ", graph.value(node.outputs[0]).type.shape.back(),
               " columns, more than 2^18");
  }
  return dtype_reason(graph, node, std::array{DType::Float32});
}

namespace {

bool is_nearest(const Node& node) { return node.attrs.text("mode").starts_with("nearest"); }

}  // namespace

void annotate_resample(const Graph& graph, NodeId node, const QuantizationConfig& config,
                       Annotations& annotations) {
  if (is_nearest(graph.node(node))) {
    annotate_shared(graph, node, config, annotations);
  } else {
    annotate_all(graph, node, config, annotations);
  }
}

Traits traits_resample(const Graph&, const Node& node) {
  return {LayoutRule::ChannelsLast,
          is_nearest(node) ? QuantizedForm::Moves : QuantizedForm::Computes};
}

program::ResampleKind resample_kind(const Node& node) {
  const std::string mode = node.attrs.text("mode");
  if (mode == "nearest") return program::ResampleKind_Nearest;
  if (mode == "nearest_exact") return program::ResampleKind_NearestExact;
  return mode == "cubic" ? program::ResampleKind_Cubic : program::ResampleKind_Linear;
}

Status lower_resample(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Shape& from = graph.value(node.inputs[0]).type.shape;
  const Shape& to = graph.value(node.outputs[0]).type.shape;
  const auto* scales = std::get_if<std::vector<double>>(node.attrs.find("scales"));
  const bool align_corners = node.attrs.boolean("align_corners");
  const auto ratio = [&](std::size_t i) {
    const double scale = scales != nullptr && i < scales->size() ? (*scales)[i] : 0.0;
    return source_ratio(from[2 + i], to[2 + i], scale, align_corners);
  };
  program::ResampleT op;
  op.kind = resample_kind(node);
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.align_corners = align_corners;
  op.ratio_h = ratio(0);
  op.ratio_w = ratio(1);
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

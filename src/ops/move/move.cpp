#include <algorithm>
#include <array>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;
using Types = std::vector<TensorType>;

Result<Types> infer_strided(const Node& node, const TensorType& input) {
  const List dims = node.attrs.integers("dims");
  const List starts = node.attrs.integers("starts");
  const List steps = node.attrs.integers("steps");
  Shape shape = node.attrs.integers("shape");
  if (dims.size() != shape.size() || steps.size() != shape.size() ||
      starts.size() != input.shape.size()) {
    return error(Code::InvalidGraph, "dims, shape, starts and steps do not fit ",
                 list_str(input.shape));
  }
  const auto inside = [&](std::size_t dim, std::int64_t index) {
    return index >= 0 && index < input.shape[dim];
  };
  for (std::size_t d = 0; d < input.shape.size(); ++d) {
    if (numel(shape) > 0 && !inside(d, starts[d])) {
      return error(Code::InvalidGraph, "start ", starts[d], " lies outside ",
                   list_str(input.shape));
    }
  }
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (shape[d] < 0) return error(Code::InvalidGraph, "shape ", list_str(shape), " is negative");
    if (dims[d] < 0 || numel(shape) == 0) continue;
    const auto at = static_cast<std::size_t>(dims[d]);
    if (at >= input.shape.size() || !inside(at, starts[at] + (shape[d] - 1) * steps[d])) {
      return error(Code::InvalidGraph, "result dimension ", d, " leaves ", list_str(input.shape));
    }
  }
  return Types{{input.dtype, std::move(shape)}};
}

Result<Types> infer_split(const Node& node, const TensorType& input) {
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  const List sizes = node.attrs.integers("sizes");
  std::int64_t total = 0;
  for (const std::int64_t size : sizes) total += size;
  if (dim >= input.shape.size() || total != input.shape[dim]) {
    return error(Code::InvalidGraph, "sizes ", list_str(sizes), " do not add up to dimension ", dim,
                 " of ", list_str(input.shape));
  }
  Types types;
  for (const std::int64_t size : sizes) {
    Shape shape = input.shape;
    shape[dim] = size;
    if (!node.attrs.boolean("keepdim"))
      shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(dim));
    types.push_back({input.dtype, std::move(shape)});
  }
  return Types(std::move(types));
}

Result<Types> infer_pad(const Node& node, const TensorType& input) {
  const List pads = node.attrs.integers("pads");
  if (pads.size() != 2 * input.shape.size()) {
    return error(Code::InvalidGraph, "pads ", list_str(pads), " do not fit ",
                 list_str(input.shape));
  }
  Shape shape = input.shape;
  for (std::size_t d = 0; d < shape.size(); ++d) shape[d] += pads[2 * d] + pads[2 * d + 1];
  return Types{{input.dtype, std::move(shape)}};
}

// Which dimension of the operand each dimension of a result walks, from where and how far.
struct Walk {
  List dims;
  List starts;
  List steps;
};

void emit_walk(const Graph& graph, const Node& node, ProgramBuilder& builder, ValueId result,
               const Walk& walk) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(result);
  const Shape shape = physical_shape(input);
  List memory(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) memory[d - 1] = memory[d] * shape[d];
  const auto memory_stride = [&](std::int64_t dim) { return memory[physical_dim(input, dim)]; };
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < walk.starts.size(); ++d) {
    offset += walk.starts[d] * memory_stride(static_cast<std::int64_t>(d));
  }
  program::StridedT op;
  op.strides.resize(walk.dims.size(), 0);
  for (std::size_t d = 0; d < walk.dims.size(); ++d) {
    if (walk.dims[d] < 0) continue;
    op.strides[physical_dim(output, static_cast<std::int64_t>(d))] =
        memory_stride(walk.dims[d]) * walk.steps[d];
  }
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(result);
  op.offset = static_cast<std::uint64_t>(offset);
  builder.emit(node, std::move(op));
}

void lower_split(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  const auto dim = static_cast<std::size_t>(node.attrs.integer("dim"));
  const List sizes = node.attrs.integers("sizes");
  Walk walk{{}, List(rank, 0), {}};
  for (std::size_t d = 0; d < rank; ++d) {
    if (d == dim && !node.attrs.boolean("keepdim")) continue;
    walk.dims.push_back(static_cast<std::int64_t>(d));
    walk.steps.push_back(1);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const ValueId result = node.outputs[i];
    if (!graph.users(result).empty() || graph.is_output(result))
      emit_walk(graph, node, builder, result, walk);
    walk.starts[dim] += sizes[i];
  }
}

void lower_pad(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Value& output = graph.value(node.outputs[0]);
  const List pads = node.attrs.integers("pads");
  program::PadT op;
  op.before.resize(output.type.shape.size());
  for (std::size_t d = 0; d < op.before.size(); ++d) {
    op.before[physical_dim(output, static_cast<std::int64_t>(d))] =
        static_cast<std::uint32_t>(pads[2 * d]);
  }
  op.value = static_cast<float>(node.attrs.number("value"));
  if (output.quant) {
    const QuantParams& quant = *output.quant;
    op.stored_value = static_cast<std::uint8_t>(
        quantize_value(op.value, inverse_scale(quant.scale()), quant.zero_point(), quant.quant_min,
                       quant.quant_max) +
        storage_offset(output.type.dtype));
  }
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  builder.emit(node, std::move(op));
}

}  // namespace

Result<Types> infer_move(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 1) return error(Code::InvalidGraph, "expected one operand");
  const TensorType& input = graph.value(node.inputs[0]).type;
  switch (node.op) {
    case Op::Strided:
      return infer_strided(node, input);
    case Op::Split:
      return infer_split(node, input);
    default:
      return infer_pad(node, input);
  }
}

std::optional<std::string> support_move(const Graph& graph, const Node& node) {
  for (const ValueId id : node.outputs) {
    const Shape& shape = graph.value(id).type.shape;
    if (numel(shape) == 0) return "its result is empty";
    if (shape.size() > 6) return str("rank ", shape.size(), " is above 6");
  }
  if (node.op == Op::Pad) {
    if (node.attrs.text("mode") != "constant") {
      return str("padding mode '", node.attrs.text("mode"), "' is not taken");
    }
    const List pads = node.attrs.integers("pads");
    if (std::any_of(pads.begin(), pads.end(), [](std::int64_t p) { return p < 0; })) {
      return "negative padding is not taken";
    }
    return dtype_reason(graph, node, std::array{DType::Float32});
  }
  return dtype_reason(graph, node, std::array{DType::Float32, DType::Int8, DType::UInt8});
}

void annotate_move(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  // A node with several results is read through its parts, which torchao observes on their own.
  if (graph.node(node).outputs.size() > 1) return;
  annotate_shared(graph, node, config, annotations);
}

Traits traits_move(const Graph& graph, const Node& node) {
  // A constant that was padded in is not the operand's, but 0 is exact in every quantization.
  const bool moves = node.op != Op::Pad || node.attrs.number("value") == 0.0;
  const QuantizedForm form = moves ? QuantizedForm::Moves : QuantizedForm::None;
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  const bool keeps_rank = std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    return graph.value(id).type.shape.size() == rank;
  });
  return {keeps_rank ? LayoutRule::Same : LayoutRule::Contiguous, form};
}

Status lower_move(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  switch (node.op) {
    case Op::Strided: {
      const Walk walk{node.attrs.integers("dims"), node.attrs.integers("starts"),
                      node.attrs.integers("steps")};
      emit_walk(graph, node, builder, node.outputs[0], walk);
      return {};
    }
    case Op::Split:
      lower_split(graph, node, builder);
      return {};
    default:
      lower_pad(graph, node, builder);
      return {};
  }
}

}  // namespace enn

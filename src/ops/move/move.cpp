#include <algorithm>
#include <cstddef>
#include <span>

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

Result<Types> infer_elements(const Node& node, const TensorType& input) {
  const List walk = node.attrs.integers("walk");
  const List strides = node.attrs.integers("strides");
  Shape shape = node.attrs.integers("shape");
  if (walk.size() != strides.size() || numel(walk) != numel(shape)) {
    return error(Code::InvalidGraph, "walk ", list_str(walk), " with strides ", list_str(strides),
                 " does not fit ", list_str(shape));
  }
  std::int64_t first = node.attrs.integer("offset");
  std::int64_t last = first;
  for (std::size_t d = 0; d < walk.size(); ++d)
    (strides[d] < 0 ? first : last) += (walk[d] - 1) * strides[d];
  if (numel(shape) > 0 && (first < 0 || last >= numel(input.shape)))
    return error(Code::InvalidGraph, "its walk leaves ", list_str(input.shape));
  return Types{{input.dtype, std::move(shape)}};
}

Result<Types> infer_roll(const Node& node, const TensorType& input) {
  const List dims = node.attrs.integers("dims");
  const std::size_t shifts = node.attrs.integers("shifts").size();
  if (shifts != std::max<std::size_t>(dims.size(), 1)) {
    return error(Code::InvalidGraph, "it has ", shifts, " shifts for the dimensions ",
                 list_str(dims));
  }
  return Types{input};
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
  const List memory = memory_strides(input);
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < walk.starts.size(); ++d) offset += walk.starts[d] * memory[d];
  program::StridedT op;
  op.strides.resize(walk.dims.size(), 0);
  for (std::size_t d = 0; d < walk.dims.size(); ++d) {
    if (walk.dims[d] < 0) continue;
    op.strides[physical_dim(output, static_cast<std::int64_t>(d))] =
        memory[static_cast<std::size_t>(walk.dims[d])] * walk.steps[d];
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
  op.skip.resize(output.type.shape.size());
  for (std::size_t d = 0; d < op.before.size(); ++d) {
    const std::uint32_t at = physical_dim(output, static_cast<std::int64_t>(d));
    op.before[at] = static_cast<std::uint32_t>(std::max<std::int64_t>(pads[2 * d], 0));
    op.skip[at] = static_cast<std::uint32_t>(std::max<std::int64_t>(-pads[2 * d], 0));
  }
  const double value = node.attrs.number("value");
  if (is_float(output.type.dtype)) {
    op.value = static_cast<float>(value);
  } else if (!output.quant) {
    op.integer_value = static_cast<std::int64_t>(value);
    op.stored_value =
        static_cast<std::uint8_t>(op.integer_value + storage_offset(output.type.dtype));
  } else {
    op.value = static_cast<float>(value);
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

// Along a dimension, which index of the operand each index of the result is.
struct Take {
  std::size_t dim = 0;
  std::vector<std::int32_t> from;
};

void emit_takes(const Graph& graph, const Node& node, ProgramBuilder& builder,
                const std::vector<Take>& takes) {
  const Value& input = graph.value(node.inputs[0]);
  const Value& output = graph.value(node.outputs[0]);
  const List memory = memory_strides(input);
  const std::size_t rank = memory.size();
  program::GatherT op;
  op.strides.resize(rank);
  for (std::size_t d = 0; d < rank; ++d)
    op.strides[physical_dim(output, static_cast<std::int64_t>(d))] = memory[d];
  op.index_strides.resize(takes.size() * rank, 0);
  for (std::size_t k = 0; k < takes.size(); ++k) {
    const auto& [dim, from] = takes[k];
    const std::uint32_t at = physical_dim(output, static_cast<std::int64_t>(dim));
    op.strides[at] = 0;
    op.index_strides[k * rank + at] = 1;
    op.sizes.push_back(static_cast<std::uint32_t>(input.type.shape[dim]));
    op.steps.push_back(memory[dim]);
    op.indices.push_back(builder.constant(program::DType_Int32,
                                          {static_cast<std::int64_t>(from.size())},
                                          std::as_bytes(std::span(from))));
  }
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  builder.emit(node, std::move(op));
}

// The index that lies at `index` of a dimension of `size` that goes on beyond its ends.
std::int64_t continued(std::string_view mode, std::int64_t index, std::int64_t size) {
  if (mode == "replicate") return std::clamp<std::int64_t>(index, 0, size - 1);
  if (mode == "circular") return (index % size + size) % size;
  if (index < 0) index = -index;
  return index < size ? index : 2 * (size - 1) - index;
}

void lower_continued_pad(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Shape& from = graph.value(node.inputs[0]).type.shape;
  const Shape& to = graph.value(node.outputs[0]).type.shape;
  const List pads = node.attrs.integers("pads");
  std::vector<Take> takes;
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (pads[2 * d] == 0 && pads[2 * d + 1] == 0) continue;
    takes.push_back({.dim = d, .from = {}});
    for (std::int64_t i = 0; i < to[d]; ++i) {
      takes.back().from.push_back(
          static_cast<std::int32_t>(continued(node.attrs.text("mode"), i - pads[2 * d], from[d])));
    }
  }
  emit_takes(graph, node, builder, takes);
}

void lower_roll(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  const List dims = node.attrs.integers("dims");
  const List shifts = node.attrs.integers("shifts");
  if (dims.empty()) {  // the operand as one dimension
    const std::int64_t count = numel(shape);
    program::GatherT op;
    op.strides = {0};
    op.index_strides = {1};
    op.sizes = {static_cast<std::uint32_t>(count)};
    op.steps = {1};
    std::vector<std::int32_t> from;
    for (std::int64_t i = 0; i < count; ++i)
      from.push_back(static_cast<std::int32_t>(continued("circular", i - shifts[0], count)));
    op.indices = {builder.constant(program::DType_Int32, {count}, std::as_bytes(std::span(from)))};
    op.input = builder.read_as(node.inputs[0], {count});
    op.output = builder.write_as(node.outputs[0], {count});
    builder.emit(node, std::move(op));
    return;
  }
  List shift(shape.size(), 0);  // a dimension may be listed more than once
  for (std::size_t i = 0; i < dims.size(); ++i)
    shift[static_cast<std::size_t>(dims[i])] += shifts[i];
  std::vector<Take> takes;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shift[d] % shape[d] == 0) continue;
    takes.push_back({.dim = d, .from = {}});
    for (std::int64_t i = 0; i < shape[d]; ++i) {
      takes.back().from.push_back(
          static_cast<std::int32_t>(continued("circular", i - shift[d], shape[d])));
    }
  }
  emit_takes(graph, node, builder, takes);
}

void lower_elements(const Node& node, ProgramBuilder& builder) {
  program::StridedT op;
  op.strides = node.attrs.integers("strides");
  op.offset = static_cast<std::uint64_t>(node.attrs.integer("offset"));
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write_as(node.outputs[0], node.attrs.integers("walk"));
  builder.emit(node, std::move(op));
}

std::optional<std::string> pad_reason(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  const std::string mode = node.attrs.text("mode");
  const List pads = node.attrs.integers("pads");
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t before = pads[2 * d];
    const std::int64_t after = pads[2 * d + 1];
    if (shape[d] + std::min<std::int64_t>(before, 0) + std::min<std::int64_t>(after, 0) < 1)
      return str("negative padding leaves nothing of dimension ", d);
    const std::int64_t largest = mode == "reflect" ? shape[d] - 1 : shape[d];
    if ((mode == "reflect" || mode == "circular") && (before > largest || after > largest))
      return str("padding mode '", mode, "' by more than dimension ", d, " of ", list_str(shape));
  }
  if (mode != "constant" && mode != "reflect" && mode != "replicate" && mode != "circular")
    return str("padding mode '", mode, "' is not taken");
  return std::nullopt;
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
    case Op::Elements:
      return infer_elements(node, input);
    case Op::Roll:
      return infer_roll(node, input);
    default:
      return infer_pad(node, input);
  }
}

std::optional<std::string> support_move(const Graph& graph, const Node& node) {
  for (const ValueId id : node.outputs) {
    const Shape& shape = graph.value(id).type.shape;
    if (numel(shape) == 0) return "its result is empty";
  }
  if (node.op == Op::Pad) {
    if (auto reason = pad_reason(graph, node)) return reason;
  }
  if (const std::size_t rank = node.attrs.integers("walk").size(); rank > 8)
    return str("its elements are walked in ", rank, " dimensions, more than 8");
  return move_reason(graph, node);
}

void annotate_move(const Graph& graph, NodeId node, const QuantizationConfig& config,
                   Annotations& annotations) {
  // A node with several results is read through its parts, which torchao observes on their own.
  if (graph.node(node).outputs.size() > 1) return;
  annotate_shared(graph, node, config, annotations);
}

Traits traits_move(const Graph& graph, const Node& node) {
  // A constant that was padded in is not the operand's, but 0 is exact in every quantization.
  const bool moves = node.op != Op::Pad || node.attrs.text("mode", "constant") != "constant" ||
                     node.attrs.number("value") == 0.0;
  const QuantizedForm form = moves ? QuantizedForm::Moves : QuantizedForm::None;
  const std::size_t rank = graph.value(node.inputs[0]).type.shape.size();
  const bool keeps_rank = std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    return graph.value(id).type.shape.size() == rank;
  });
  // Those that count elements as they lie need the order of the shape.
  const bool counts =
      node.op == Op::Elements || (node.op == Op::Roll && node.attrs.integers("dims").empty());
  return {keeps_rank && !counts ? LayoutRule::Same : LayoutRule::Contiguous, form};
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
    case Op::Elements:
      lower_elements(node, builder);
      return {};
    case Op::Roll:
      lower_roll(graph, node, builder);
      return {};
    default:
      if (node.attrs.text("mode", "constant") != "constant") {
        lower_continued_pad(graph, node, builder);
        return {};
      }
      lower_pad(graph, node, builder);
      return {};
  }
}

}  // namespace enn

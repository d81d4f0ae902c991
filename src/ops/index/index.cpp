#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "ops/program_builder.hpp"

namespace enn {
namespace {

using List = std::vector<std::int64_t>;

bool is_index_type(DType dtype) { return dtype == DType::Int32 || dtype == DType::Int64; }

std::span<const ValueId> indices_of(const Node& node) {
  return std::span(node.inputs).subspan(node.op == Op::Scatter ? 2 : 1);
}

bool is_masked(const Node& node) { return node.attrs.boolean("mask"); }

// The walk stays inside what is indexed, and index tensors and source reach as far as it does.
Status check_walk(const Graph& graph, const Node& node, const Shape& indexed) {
  const List walks = node.attrs.integers("walks");
  const List dims = node.attrs.integers("dims");
  const List at = node.attrs.integers("at");
  const Shape shape = node.attrs.integers("shape");
  const List starts = node.attrs.integers("starts");
  const List steps = node.attrs.integers("steps");
  const auto indices = indices_of(node);
  if (walks.size() != shape.size() || dims.size() != indices.size() ||
      at.size() != indices.size()) {
    return error(Code::InvalidGraph, "walks, dims, at and shape do not fit its operands");
  }
  const auto is_dim = [&](std::int64_t dim) {
    return dim >= 0 && dim < static_cast<std::int64_t>(indexed.size());
  };
  for (std::size_t d = 0; d < walks.size() && numel(shape) > 0; ++d) {
    if (walks[d] < 0) continue;
    const auto dim = static_cast<std::size_t>(walks[d]);
    const std::int64_t start = dim < starts.size() ? starts[dim] : 0;
    const std::int64_t step = d < steps.size() ? steps[d] : 1;
    if (!is_dim(walks[d]) || start < 0 || step < 0 ||
        start + (shape[d] - 1) * step >= indexed[dim]) {
      return error(Code::InvalidGraph, "walk dimension ", d, " leaves ", list_str(indexed));
    }
  }
  for (std::size_t k = 0; k < indices.size(); ++k) {
    const Shape& index = graph.value(indices[k]).type.shape;
    bool fits = is_dim(dims[k]) && at[k] >= 0 &&
                static_cast<std::size_t>(at[k]) + index.size() <= shape.size();
    for (std::size_t d = 0; fits && d < index.size(); ++d) {
      fits = index[d] == 1 || index[d] >= shape[static_cast<std::size_t>(at[k]) + d];
    }
    if (!fits) {
      return error(Code::InvalidGraph, "index tensor ", k, " of shape ", list_str(index),
                   " does not fit ", list_str(shape));
    }
  }
  return {};
}

// The source is read from its last dimensions on, broadcast where they have size 1.
Status check_source(const Shape& source, const Shape& shape) {
  bool fits = source.size() <= shape.size();
  for (std::size_t d = 0; fits && d < source.size(); ++d) {
    const std::int64_t walked = shape[shape.size() - source.size() + d];
    fits = source[d] == 1 || source[d] >= walked;
  }
  if (fits) return {};
  return error(Code::InvalidGraph, "its source ", list_str(source), " does not fit ",
               list_str(shape));
}

}  // namespace

Result<std::vector<TensorType>> infer_index(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || (node.op == Op::Scatter && node.inputs.size() < 2))
    return error(Code::InvalidGraph, "expected more operands");
  const TensorType& indexed = graph.value(node.inputs[0]).type;
  if (is_masked(node)) return std::vector<TensorType>{indexed};
  ENN_TRY(check_walk(graph, node, indexed.shape));
  if (node.op == Op::Index)
    return std::vector<TensorType>{{indexed.dtype, node.attrs.integers("shape")}};
  const List starts = node.attrs.integers("starts");
  for (std::size_t d = 0; d < indexed.shape.size(); ++d) {
    if (starts.size() != indexed.shape.size() || starts[d] < 0)
      return error(Code::InvalidGraph, "starts do not fit ", list_str(indexed.shape));
  }
  if (node.inputs[1] != kNone) {
    ENN_TRY(check_source(graph.value(node.inputs[1]).type.shape, node.attrs.integers("shape")));
  }
  return std::vector<TensorType>{indexed};
}

std::optional<std::string> support_index(const Graph& graph, const Node& node) {
  if (is_masked(node)) return "a boolean mask selects places by its values";
  const TensorType& indexed = graph.value(node.inputs[0]).type;
  for (const ValueId id : indices_of(node)) {
    const DType dtype = graph.value(id).type.dtype;
    if (!is_index_type(dtype))
      return str("its indices are ", to_string(dtype), ", not int32 or int64");
  }
  const Shape shape = node.attrs.integers("shape");
  if (numel(shape) == 0 || numel(indexed.shape) == 0) return "its result is empty";
  if (shape.size() > 8) return str("rank ", shape.size(), " is above 8");
  if (indices_of(node).size() > 8) return "it has more than 8 index tensors";
  if (node.op == Op::Scatter && node.inputs[1] != kNone &&
      graph.value(node.inputs[1]).type.dtype != indexed.dtype) {
    return str("it writes ", to_string(graph.value(node.inputs[1]).type.dtype), " into ",
               to_string(indexed.dtype));
  }
  const bool adds = node.attrs.boolean("accumulate");
  if (adds && indexed.dtype != DType::Float32 && !is_index_type(indexed.dtype))
    return str("it adds ", to_string(indexed.dtype), " values");
  return move_reason(graph, node);
}

void annotate_index(const Graph& graph, NodeId id, const QuantizationConfig& config,
                    Annotations& annotations) {
  const Node& node = graph.node(id);
  // Sums have a range of their own, and so has a value that is not the operand's.
  if (node.attrs.boolean("accumulate") || node.attrs.number("value") != 0.0) return;
  // What is written in place is read by those that read the operand later: it must stay as it is.
  const bool in_place = node.target.find("_.") != std::string::npos;
  if (in_place && graph.users(node.inputs[0]).size() > 1) return;
  annotate_shared(graph, id, config, annotations);
}

Traits traits_index(const Graph&, const Node& node) {
  // 0 is exact in every quantization; sums and other values are not.
  const bool moves = !node.attrs.boolean("accumulate") && node.attrs.number("value") == 0.0;
  return {LayoutRule::Contiguous, moves ? QuantizedForm::Moves : QuantizedForm::None};
}

namespace {

// A constant with the one element that a Scatter writes.
std::uint32_t scalar_constant(const Value& result, double value, ProgramBuilder& builder) {
  const auto constant = [&](program::DType dtype, auto element) {
    return builder.constant(dtype, {}, std::as_bytes(std::span(&element, 1)));
  };
  const auto integer = static_cast<std::int64_t>(value);
  switch (result.type.dtype) {
    case DType::Float32:
      return constant(program::DType_Float32, static_cast<float>(value));
    case DType::Int64:
      return constant(program::DType_Int64, integer);
    case DType::Int32:
      return constant(program::DType_Int32, static_cast<std::int32_t>(integer));
    case DType::Bool:
      return constant(program::DType_Bool, static_cast<std::uint8_t>(integer != 0));
    default:
      break;
  }
  // 8-bit: quantized, the value is 0.
  const std::int64_t stored =
      (result.quant ? result.quant->zero_point() : integer) + storage_offset(result.type.dtype);
  return constant(program::DType_UInt8, static_cast<std::uint8_t>(stored));
}

// Gather and Scatter describe their walks by fields of the same names.
template <typename Table>
void set_walk(const Graph& graph, const Node& node, ProgramBuilder& builder, Table& op) {
  const List memory = memory_strides(graph.value(node.inputs[0]));
  const List walks = node.attrs.integers("walks");
  const List dims = node.attrs.integers("dims");
  const List at = node.attrs.integers("at");
  const List steps = node.attrs.integers("steps");
  const List starts = node.attrs.integers("starts");
  const std::size_t rank = walks.size();
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < starts.size(); ++d) offset += starts[d] * memory[d];
  op.offset = static_cast<std::uint64_t>(offset);
  op.strides.resize(rank, 0);
  for (std::size_t d = 0; d < rank; ++d) {
    if (walks[d] < 0) continue;
    op.strides[d] = memory[static_cast<std::size_t>(walks[d])] * (d < steps.size() ? steps[d] : 1);
  }
  const auto indices = indices_of(node);
  op.index_strides.resize(indices.size() * rank, 0);
  for (std::size_t k = 0; k < indices.size(); ++k) {
    const Value& index = graph.value(indices[k]);
    const List strides = memory_strides(index);
    for (std::size_t d = 0; d < strides.size(); ++d) {
      if (index.type.shape[d] == 1) continue;
      op.index_strides[k * rank + static_cast<std::size_t>(at[k]) + d] = strides[d];
    }
    const auto dim = static_cast<std::size_t>(dims[k]);
    op.indices.push_back(builder.read(indices[k]));
    op.sizes.push_back(static_cast<std::uint32_t>(graph.value(node.inputs[0]).type.shape[dim]));
    op.steps.push_back(memory[dim]);
  }
}

}  // namespace

Status lower_index(const Graph& graph, const Node& node, ProgramBuilder& builder) {
  if (node.op == Op::Index) {
    program::GatherT op;
    set_walk(graph, node, builder, op);
    op.input = builder.read(node.inputs[0]);
    op.output = builder.write(node.outputs[0]);
    builder.emit(node, std::move(op));
    return {};
  }
  const Shape shape = node.attrs.integers("shape");
  program::ScatterT op;
  set_walk(graph, node, builder, op);
  op.shape.assign(shape.begin(), shape.end());
  op.source_strides.resize(shape.size(), 0);
  if (node.inputs[1] == kNone) {
    op.source = scalar_constant(graph.value(node.outputs[0]), node.attrs.number("value"), builder);
  } else {
    const Value& source = graph.value(node.inputs[1]);
    const List strides = memory_strides(source);
    const std::size_t added = shape.size() - strides.size();
    for (std::size_t d = 0; d < strides.size(); ++d) {
      if (source.type.shape[d] != 1) op.source_strides[added + d] = strides[d];
    }
    op.source = builder.read(node.inputs[1]);
  }
  op.input = builder.read(node.inputs[0]);
  op.output = builder.write(node.outputs[0]);
  op.accumulate = node.attrs.boolean("accumulate");
  builder.emit(node, std::move(op));
  return {};
}

}  // namespace enn

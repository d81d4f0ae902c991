#include "ops/program_builder.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <numeric>
#include <string_view>

#include "ops/constants.hpp"

namespace enn {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::array<std::size_t, 4> kChannelsLastOrder{0, 2, 3, 1};

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool is_activation(const Value& value) {
  return value.type.dtype == DType::Int8 || value.type.dtype == DType::UInt8;
}

Result<program::DType> program_dtype(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return program::DType_Float32;
    case DType::UInt8:
      return program::DType_UInt8;
    case DType::Int8:
      return program::DType_Int8;
    case DType::Int32:
      return program::DType_Int32;
    case DType::Int64:
      return program::DType_Int64;
    case DType::Bool:
      return program::DType_Bool;
    case DType::Float16:
      return program::DType_Float16;
    default:
      return error(Code::Unsupported, "dtype ", to_string(dtype), " has no place in a program");
  }
}

// Precondition: the partitioner let the value through, so its dtype has a place.
program::DType stored_dtype(const Value& value) {
  if (is_activation(value)) return program::DType_UInt8;
  const auto dtype = program_dtype(value.type.dtype);
  return dtype.ok() ? dtype.value() : program::DType_Float32;
}

std::size_t byte_size(const Value& value) {
  return static_cast<std::size_t>(numel(value.type.shape)) * size_of(value.type.dtype);
}

// A constant's bytes in its value's layout and stored encoding.
std::vector<std::byte> stored_bytes(const Value& value) {
  std::vector<std::byte> bytes = *value.data;
  if (value.type.dtype == DType::Int8) {
    for (std::byte& byte : bytes) byte ^= std::byte{0x80};
  }
  if (value.layout == Layout::Contiguous) return bytes;
  const std::size_t size = size_of(value.type.dtype);
  const auto dim = [&](std::size_t i) { return static_cast<std::size_t>(value.type.shape[i]); };
  std::vector<std::byte> out(bytes.size());
  std::size_t to = 0;
  for (std::size_t n = 0; n < dim(0); ++n) {
    for (std::size_t pixel = 0; pixel < dim(2) * dim(3); ++pixel) {
      for (std::size_t c = 0; c < dim(1); ++c, to += size) {
        const std::size_t from = ((n * dim(1) + c) * dim(2) * dim(3) + pixel) * size;
        std::memcpy(out.data() + to, bytes.data() + from, size);
      }
    }
  }
  return out;
}

std::vector<std::uint32_t> narrow(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

std::int32_t storage_offset(DType dtype) { return dtype == DType::Int8 ? 128 : 0; }

Shape physical_shape(const Value& value) {
  if (value.layout == Layout::Contiguous) return value.type.shape;
  Shape out;
  for (const std::size_t dim : kChannelsLastOrder) out.push_back(value.type.shape[dim]);
  return out;
}

std::uint32_t physical_dim(const Value& value, std::int64_t dim) {
  if (value.layout == Layout::Contiguous) return static_cast<std::uint32_t>(dim);
  const auto* const found = std::find(kChannelsLastOrder.begin(), kChannelsLastOrder.end(),
                                      static_cast<std::size_t>(dim));
  return static_cast<std::uint32_t>(found - kChannelsLastOrder.begin());
}

std::vector<std::int64_t> memory_strides(const Value& value) {
  const Shape shape = physical_shape(value);
  Shape dense(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) dense[d - 1] = dense[d] * shape[d];
  Shape strides(shape.size());
  for (std::size_t d = 0; d < strides.size(); ++d)
    strides[d] = dense[physical_dim(value, static_cast<std::int64_t>(d))];
  return strides;
}

std::vector<std::uint32_t> layout_permutation(const Value& from, const Value& to) {
  if (from.layout == to.layout) {
    std::vector<std::uint32_t> identity(from.type.shape.size());
    std::iota(identity.begin(), identity.end(), 0U);
    return identity;
  }
  return to.layout == Layout::ChannelsLast ? std::vector<std::uint32_t>{0, 2, 3, 1}
                                           : std::vector<std::uint32_t>{0, 3, 1, 2};
}

ProgramBuilder::ProgramBuilder(const Graph& graph)
    : graph_(graph), buffer_of_value_(graph.value_count(), kNone) {
  add_inputs();
}

std::uint32_t ProgramBuilder::add_buffer(program::Storage storage, std::uint64_t offset,
                                         std::size_t bytes) {
  buffers_.push_back({.storage = storage, .offset = offset, .bytes = bytes});
  return static_cast<std::uint32_t>(buffers_.size() - 1);
}

std::uint32_t ProgramBuilder::add_tensor(std::uint32_t buffer, program::DType dtype,
                                         const Shape& shape) {
  auto tensor = std::make_unique<program::TensorT>();
  tensor->dtype = dtype;
  tensor->shape = narrow(shape);
  tensors_.push_back(std::move(tensor));
  buffer_of_tensor_.push_back(buffer);
  return static_cast<std::uint32_t>(tensors_.size() - 1);
}

std::uint32_t ProgramBuilder::use(std::uint32_t tensor) {
  used_buffers_.push_back(buffer_of_tensor_[tensor]);
  return tensor;
}

std::uint32_t ProgramBuilder::buffer_of(ValueId id) {
  std::uint32_t& buffer = buffer_of_value_[id];
  if (buffer != kNone) return buffer;
  const Value& value = graph_.value(id);
  if (value.is_constant()) {
    buffer = add_constant(chunk_of(stored_bytes(value)));
  } else {
    buffer = add_buffer(program::Storage_Arena, 0, byte_size(value));
  }
  return buffer;
}

std::uint32_t ProgramBuilder::view(ValueId id, const Shape& shape) {
  const Value& value = graph_.value(id);
  const std::uint32_t tensor = add_tensor(buffer_of(id), stored_dtype(value), shape);
  if (value.quant && value.quant->per_tensor()) {
    tensors_[tensor]->scale = value.quant->scale();
    tensors_[tensor]->zero_point = value.quant->zero_point() + storage_offset(value.type.dtype);
  }
  return use(tensor);
}

std::uint32_t ProgramBuilder::read(ValueId value) {
  return view(value, physical_shape(graph_.value(value)));
}

std::uint32_t ProgramBuilder::read_as(ValueId value, Shape shape) { return view(value, shape); }

std::uint32_t ProgramBuilder::write(ValueId value) { return read(value); }

std::uint32_t ProgramBuilder::write_as(ValueId value, Shape shape) { return view(value, shape); }

std::uint32_t ProgramBuilder::constant(program::DType dtype, Shape shape,
                                       std::span<const std::byte> bytes) {
  return constant(dtype, std::move(shape), std::vector<std::byte>(bytes.begin(), bytes.end()));
}

std::uint32_t ProgramBuilder::add_constant(Chunk chunk) {
  const std::string_view bytes(reinterpret_cast<const char*>(chunk.bytes.data()),
                               chunk.bytes.size());
  const std::size_t hash = std::hash<std::string_view>()(bytes);
  for (auto [it, end] = known_constants_.equal_range(hash); it != end; ++it) {
    const auto& [place, buffer] = it->second;
    if (std::ranges::equal(constants_[place].bytes, chunk.bytes)) return buffer;
  }
  const std::uint32_t buffer =
      add_buffer(program::Storage_Constant, constants_bytes_, chunk.bytes.size());
  known_constants_.emplace(hash, std::pair(constants_.size(), buffer));
  constants_bytes_ = aligned(constants_bytes_ + chunk.bytes.size());
  constants_.push_back(std::move(chunk));
  return buffer;
}

std::uint32_t ProgramBuilder::add_constant_tensor(program::DType dtype, const Shape& shape,
                                                  Chunk chunk) {
  return use(add_tensor(add_constant(std::move(chunk)), dtype, shape));
}

std::uint32_t ProgramBuilder::constant_f32(std::span<const float> values) {
  return constant(program::DType_Float32, {static_cast<std::int64_t>(values.size())},
                  std::as_bytes(values));
}

void ProgramBuilder::alias(ValueId result, ValueId operand) {
  buffer_of_value_[result] = buffer_of(operand);
}

void ProgramBuilder::observe(ValueId value, std::uint32_t tap) {
  Node node;
  node.name = graph_.value(value).name;
  program::ObserveT op;
  op.tensor = read(value);
  op.tap = tap;
  emit(node, std::move(op));
}

void ProgramBuilder::push_step(const Node& node, program::OperatorUnion op) {
  auto step = std::make_unique<program::StepT>();
  step->op = std::move(op);
  step->name = node.name;
  step->source = node.origin.source;
  step->module_path = module_path(node.origin);
  const int index = static_cast<int>(steps_.size());
  for (const std::uint32_t id : used_buffers_) {
    Buffer& buffer = buffers_[id];
    if (buffer.first_step < 0) buffer.first_step = index;
    buffer.last_step = index;
  }
  used_buffers_.clear();
  steps_.push_back(std::move(step));
}

void ProgramBuilder::add_copy(const std::string& name, std::uint32_t from, std::uint32_t to) {
  Node node;
  node.name = name;
  use(from);
  use(to);
  if (tensors_[from]->dtype != tensors_[to]->dtype) {
    // Int8 outside, offset binary inside: the top bit changes either way.
    std::array<std::byte, 256> flipped{};
    for (std::size_t i = 0; i < flipped.size(); ++i) flipped[i] = static_cast<std::byte>(i ^ 0x80U);
    program::LutT op;
    op.input = from;
    op.output = to;
    op.table = constant(program::DType_UInt8, {256}, flipped);
    emit(node, std::move(op));
    return;
  }
  program::TransposeT op;
  op.input = from;
  op.output = to;
  op.perm.resize(tensors_[from]->shape.size());
  std::iota(op.perm.begin(), op.perm.end(), 0U);
  emit(node, std::move(op));
}

void ProgramBuilder::add_inputs() {
  for (std::size_t i = 0; i < graph_.inputs().size(); ++i) {
    const ValueId id = graph_.inputs()[i];
    const Value& value = graph_.value(id);
    const std::uint32_t buffer = add_buffer(program::Storage_Input, i, byte_size(value));
    const bool recoded = value.type.dtype == DType::Int8;
    const std::uint32_t tensor =
        add_tensor(buffer, recoded ? program::DType_Int8 : stored_dtype(value), value.type.shape);
    input_tensors_.push_back(tensor);
    if (!recoded) {
      buffer_of_value_[id] = buffer;
    } else if (!graph_.users(id).empty() || graph_.is_output(id)) {
      const std::uint32_t copy = view(id, value.type.shape);
      add_copy(value.name + ".stored", tensor, copy);
    }
  }
}

// The value is computed where the caller wants it, when its memory is the arena's and no other
// output's; else a copy is the last thing that happens to it.
void ProgramBuilder::bind_output(ValueId id, std::uint64_t index) {
  const Value& value = graph_.value(id);
  const std::uint32_t source = buffer_of(id);
  const bool recoded = value.type.dtype == DType::Int8;
  if (!recoded && buffers_[source].storage == program::Storage_Arena) {
    buffers_[source].storage = program::Storage_Output;
    buffers_[source].offset = index;
    output_tensors_.push_back(add_tensor(source, stored_dtype(value), value.type.shape));
    return;
  }
  const std::uint32_t target = add_buffer(program::Storage_Output, index, byte_size(value));
  const std::uint32_t tensor =
      add_tensor(target, recoded ? program::DType_Int8 : stored_dtype(value), value.type.shape);
  output_tensors_.push_back(tensor);
  add_copy(value.name + ".output", view(id, value.type.shape), tensor);
}

namespace {

// Lives of buffers, from their first to their last step.
template <typename Buffer>
class Lives {
 public:
  explicit Lives(std::size_t steps) {
    while (leaves_ < steps) leaves_ *= 2;
    covering_.resize(2 * leaves_);
  }

  void add(Buffer* buffer) {
    const auto first = static_cast<std::size_t>(buffer->first_step);
    const auto last = static_cast<std::size_t>(buffer->last_step);
    // The fewest nodes of the tree that cover all of its steps.
    for (std::size_t low = first + leaves_, high = last + leaves_ + 1; low < high;
         low /= 2, high /= 2) {
      if (low % 2 == 1) covering_[low++].push_back(buffer);
      if (high % 2 == 1) covering_[--high].push_back(buffer);
    }
    by_first_step_.emplace(buffer->first_step, buffer);
  }

  // Those that share a step with `buffer`, each once.
  [[nodiscard]] std::vector<Buffer*> beside(const Buffer& buffer) const {
    std::vector<Buffer*> found;
    for (std::size_t at = static_cast<std::size_t>(buffer.first_step) + leaves_; at > 0; at /= 2) {
      found.insert(found.end(), covering_[at].begin(), covering_[at].end());
    }
    const auto end = by_first_step_.upper_bound(buffer.last_step);
    for (auto it = by_first_step_.upper_bound(buffer.first_step); it != end; ++it) {
      found.push_back(it->second);
    }
    return found;
  }

 private:
  std::size_t leaves_ = 1;
  std::vector<std::vector<Buffer*>> covering_;  // by node of a binary tree over the steps
  std::multimap<int, Buffer*> by_first_step_;
};

}  // namespace

// Greedy by size: the largest buffer first, each at the lowest offset where it overlaps none whose
// life it shares.
std::uint64_t ProgramBuilder::plan_arena() {
  std::vector<Buffer*> pending;
  for (Buffer& buffer : buffers_) {
    if (buffer.storage == program::Storage_Arena && buffer.first_step >= 0)
      pending.push_back(&buffer);
  }
  // Buffers of one size stay in their order, so that the same graph gives the same bytes
  // everywhere.
  std::sort(pending.begin(), pending.end(), [](const Buffer* a, const Buffer* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  Lives<Buffer> placed(steps_.size());
  std::uint64_t total = 0;
  for (Buffer* buffer : pending) {
    std::vector<Buffer*> others = placed.beside(*buffer);
    std::ranges::sort(others, {}, &Buffer::offset);
    std::uint64_t offset = 0;
    for (const Buffer* other : others) {
      if (offset + aligned(buffer->bytes) <= other->offset) break;
      offset = std::max(offset, other->offset + aligned(other->bytes));
    }
    buffer->offset = offset;
    total = std::max(total, offset + aligned(buffer->bytes));
    placed.add(buffer);
  }
  return total;
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> ProgramBuilder::write_constants(
    flatbuffers::FlatBufferBuilder& builder) const {
  if (constants_bytes_ == 0) return 0;  // an empty list would lie at any address
  std::uint8_t* to = nullptr;
  builder.ForceVectorAlignment(constants_bytes_, 1, kAlignment);
  const auto vector = builder.CreateUninitializedVector<std::uint8_t>(constants_bytes_, &to);
  for (const Chunk& chunk : constants_) {
    const std::size_t size = chunk.bytes.size();
    if (size > 0) std::memcpy(to, chunk.bytes.data(), size);
    std::memset(to + size, 0, aligned(size) - size);
    to += aligned(size);
  }
  return vector;
}

Result<std::vector<std::byte>> ProgramBuilder::finish(std::size_t front) {
  for (std::size_t i = 0; i < graph_.outputs().size(); ++i) bind_output(graph_.outputs()[i], i);
  for (std::size_t i = 0; i < input_orders_.size(); ++i)
    tensors_[input_tensors_[i]]->dim_order = input_orders_[i];
  for (std::size_t i = 0; i < output_orders_.size(); ++i)
    tensors_[output_tensors_[i]]->dim_order = output_orders_[i];
  const std::uint64_t arena_bytes = plan_arena();
  flatbuffers::FlatBufferBuilder builder(constants_bytes_ + 512 * steps_.size() + 65536);
  std::vector<flatbuffers::Offset<program::Tensor>> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i]->storage = buffers_[buffer_of_tensor_[i]].storage;
    tensors_[i]->offset = buffers_[buffer_of_tensor_[i]].offset;
    tensors.push_back(program::Tensor::Pack(builder, tensors_[i].get()));
  }
  std::vector<flatbuffers::Offset<program::Step>> steps;
  for (const auto& step : steps_) steps.push_back(program::Step::Pack(builder, step.get()));
  const auto tensor_vector = builder.CreateVector(tensors);
  const auto input_vector = builder.CreateVector(input_tensors_);
  const auto output_vector = builder.CreateVector(output_tensors_);
  const auto step_vector = builder.CreateVector(steps);
  builder.Finish(
      program::CreateProgram(builder, program::Version_MAX, tensor_vector, input_vector,
                             output_vector, step_vector, arena_bytes, write_constants(builder)),
      program::ProgramIdentifier());
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  std::vector<std::byte> out;
  out.reserve(front + builder.GetSize());
  out.resize(front);
  out.insert(out.end(), bytes, bytes + builder.GetSize());
  return out;
}

Status lower_table(const Graph& graph, const Node& node, ProgramBuilder& builder,
                   const std::function<float(float)>& function) {
  const Value& input = graph.value(node.inputs[0]);
  std::vector<float> results = stored_floats(*input.quant, input.type.dtype);
  std::ranges::transform(results, results.begin(), function);
  return emit_lut(graph, node, builder, results);
}

Status emit_lut(const Graph& graph, const Node& node, ProgramBuilder& builder,
                std::span<const float> results) {
  const Value& output = graph.value(node.outputs[0]);
  const QuantParams& to = *output.quant;
  const std::int32_t offset = storage_offset(output.type.dtype);
  std::array<std::byte, 256> table{};
  for (std::size_t stored = 0; stored < table.size(); ++stored) {
    const std::int32_t q = quantize_value(results[stored], inverse_scale(to.scale()),
                                          to.zero_point(), to.quant_min, to.quant_max);
    table[stored] = static_cast<std::byte>(q + offset);
  }
  program::LutT op;
  op.input = builder.read(node.inputs[0]);
  op.table = builder.constant(program::DType_UInt8, {256}, table);
  op.output = builder.write(node.outputs[0]);
  builder.emit(node, std::move(op));
  return {};
}

std::vector<float> stored_floats(const QuantParams& params, DType dtype) {
  const std::int32_t zero = params.zero_point() + storage_offset(dtype);
  std::vector<float> floats(256);
  for (std::int32_t stored = 0; stored < 256; ++stored)
    floats[static_cast<std::size_t>(stored)] = static_cast<float>(stored - zero) * params.scale();
  return floats;
}

}  // namespace enn

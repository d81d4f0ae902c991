// Where lowering writes the program: tensors, constants and steps, then the memory plan and the
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/graph.hpp"
#include "program_generated.h"

namespace enn {

// Difference between an 8-bit activation's stored integer and the model's: 128 for Int8, 0 for
// UInt8.
[[nodiscard]] std::int32_t storage_offset(DType dtype);
// Logical shape -> shape in memory.
[[nodiscard]] Shape physical_shape(const Value& value);
// Logical dimension -> dimension in memory.
[[nodiscard]] std::uint32_t physical_dim(const Value& value, std::int64_t dim);
// For each logical dimension, how many elements lie between neighbours in memory.
[[nodiscard]] std::vector<std::int64_t> memory_strides(const Value& value);
// The permutation of memory dimensions that takes `from` to `to`, two values of one logical shape.
[[nodiscard]] std::vector<std::uint32_t> layout_permutation(const Value& from, const Value& to);

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const Graph& graph);

  // The tensor that holds `value`, as an operand (read) or the result (write) of the step that is
  // emitted next. An 8-bit activation is UInt8 in the program. The second form views it under
  // another shape of as many elements.
  [[nodiscard]] std::uint32_t read(ValueId value);
  [[nodiscard]] std::uint32_t read_as(ValueId value, Shape shape);
  [[nodiscard]] std::uint32_t write(ValueId value);
  [[nodiscard]] std::uint32_t write_as(ValueId value, Shape shape);
  [[nodiscard]] std::uint32_t constant(program::DType dtype, Shape shape,
                                       std::span<const std::byte> bytes);
  // The same without a copy.
  template <typename T>
  [[nodiscard]] std::uint32_t constant(program::DType dtype, Shape shape, std::vector<T>&& values) {
    return add_constant_tensor(dtype, shape, chunk_of(std::move(values)));
  }
  [[nodiscard]] std::uint32_t constant_f32(std::span<const float> values);
  // `result` is `operand` in the same memory under its own shape: no step.
  void alias(ValueId result, ValueId operand);

  // Behind the step that was emitted last, whoever runs the program is shown `value` as `tap`.
  void observe(ValueId value, std::uint32_t tap);

  template <typename TableT>
  void emit(const Node& node, TableT op) {
    program::OperatorUnion any;
    any.Set(std::move(op));
    push_step(node, std::move(any));
  }

  // How the caller's tensors lie: Tensor.dim_order of the program's inputs and outputs.
  void set_dim_orders(std::vector<std::vector<std::uint8_t>> inputs,
                      std::vector<std::vector<std::uint8_t>> outputs) {
    input_orders_ = std::move(inputs);
    output_orders_ = std::move(outputs);
  }

  // Plans memory and serializes the FlatBuffer behind `front` zero bytes. Call once, after all
  // nodes were lowered.
  [[nodiscard]] Result<std::vector<std::byte>> finish(std::size_t front);

 private:
  // A piece of memory; several tensors (views) may lie in it.
  struct Buffer {
    program::Storage storage = program::Storage_Arena;
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    int first_step = -1;
    int last_step = -1;
  };

  // Bytes of the program's constants, and who keeps them.
  struct Chunk {
    std::shared_ptr<const void> owner;
    std::span<const std::byte> bytes;
  };
  template <typename T>
  [[nodiscard]] static Chunk chunk_of(std::vector<T>&& values) {
    const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    return {owner, std::as_bytes(std::span(*owner))};
  }

  void push_step(const Node& node, program::OperatorUnion op);
  [[nodiscard]] std::uint32_t add_buffer(program::Storage storage, std::uint64_t offset,
                                         std::size_t bytes);
  [[nodiscard]] std::uint32_t add_tensor(std::uint32_t buffer, program::DType dtype,
                                         const Shape& shape);
  // The buffer of these bytes, which constants of the same bytes share.
  [[nodiscard]] std::uint32_t add_constant(Chunk chunk);
  [[nodiscard]] std::uint32_t add_constant_tensor(program::DType dtype, const Shape& shape,
                                                  Chunk chunk);
  std::uint32_t use(std::uint32_t tensor);
  [[nodiscard]] std::uint32_t buffer_of(ValueId value);
  [[nodiscard]] std::uint32_t view(ValueId value, const Shape& shape);
  // Storage of a caller's tensor; the program reads it where it lies unless it is Int8.
  void add_inputs();
  void bind_output(ValueId value, std::uint64_t index);
  void add_copy(const std::string& name, std::uint32_t from, std::uint32_t to);
  [[nodiscard]] std::uint64_t plan_arena();
  [[nodiscard]] flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> write_constants(
      flatbuffers::FlatBufferBuilder& builder) const;

  const Graph& graph_;
  std::vector<Buffer> buffers_;
  std::vector<std::unique_ptr<program::TensorT>> tensors_;
  std::vector<std::uint32_t> buffer_of_tensor_;
  std::vector<std::uint32_t> buffer_of_value_;  // kNone until the value has memory
  std::vector<Chunk> constants_;                // each begins at a multiple of kAlignment
  std::unordered_multimap<std::size_t, std::pair<std::size_t, std::uint32_t>>
      known_constants_;  // by hash: the place in constants_ and the buffer
  std::uint64_t constants_bytes_ = 0;
  std::vector<std::uint32_t> used_buffers_;  // of the step that is being built
  std::vector<std::unique_ptr<program::StepT>> steps_;
  std::vector<std::uint32_t> input_tensors_;
  std::vector<std::uint32_t> output_tensors_;
  std::vector<std::vector<std::uint8_t>> input_orders_;
  std::vector<std::vector<std::uint8_t>> output_orders_;
};

// Emits the 256-entry table of `function` for a node with one quantized operand and result: for
// each stored byte, dequantize, apply, quantize, as the Q/DQ model does in float32.
[[nodiscard]] Status lower_table(const Graph& graph, const Node& node, ProgramBuilder& builder,
                                 const std::function<float(float)>& function);

// The same from the function's results: results[i] for the stored byte i. Precondition: 256.
[[nodiscard]] Status emit_lut(const Graph& graph, const Node& node, ProgramBuilder& builder,
                              std::span<const float> results);

// What the stored bytes 0 to 255 of a value stand for. Precondition: params are per tensor.
[[nodiscard]] std::vector<float> stored_floats(const QuantParams& params, DType dtype);

}  // namespace enn

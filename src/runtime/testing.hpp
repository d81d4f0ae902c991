// Programs for tests, without the compiler.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/payload_header.hpp"
#include "program_generated.h"

namespace enn::testing {

inline std::vector<std::byte> payload_of(std::span<const std::byte> body) {
  std::vector<std::byte> payload(kPayloadHeaderBytes + body.size());
  std::copy(body.begin(), body.end(), payload.begin() + kPayloadHeaderBytes);
  write_payload_header(payload);
  return payload;
}

inline std::vector<std::byte> payload_of(const program::ProgramT& program) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(program::Program::Pack(builder, &program), program::ProgramIdentifier());
  return payload_of(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
}

// Adds tensors and steps to a program under construction. Members of `program` may be changed at
// will.
struct ProgramMaker {
  using Shape = std::vector<std::uint32_t>;

  program::ProgramT program;

  ProgramMaker() { program.version = program::Version_MAX; }

  std::uint32_t tensor(program::Storage storage, std::uint64_t offset, program::DType dtype,
                       Shape shape, float scale = 1.0F, std::int32_t zero_point = 0) {
    auto entry = std::make_unique<program::TensorT>();
    entry->dtype = dtype;
    entry->shape = std::move(shape);
    entry->storage = storage;
    entry->offset = offset;
    entry->scale = scale;
    entry->zero_point = zero_point;
    program.tensors.push_back(std::move(entry));
    return static_cast<std::uint32_t>(program.tensors.size() - 1);
  }

  std::uint32_t input(program::DType dtype, Shape shape, float scale = 1.0F,
                      std::int32_t zero_point = 0) {
    program.inputs.push_back(tensor(program::Storage_Input, program.inputs.size(), dtype,
                                    std::move(shape), scale, zero_point));
    return program.inputs.back();
  }

  std::uint32_t output(program::DType dtype, Shape shape, float scale = 1.0F,
                       std::int32_t zero_point = 0) {
    program.outputs.push_back(tensor(program::Storage_Output, program.outputs.size(), dtype,
                                     std::move(shape), scale, zero_point));
    return program.outputs.back();
  }

  static std::uint64_t element_bytes(program::DType dtype) {
    switch (dtype) {
      case program::DType_Float32:
      case program::DType_Int32:
        return 4;
      case program::DType_Float16:
        return 2;
      case program::DType_Int64:
        return 8;
      default:
        return 1;
    }
  }

  // Behind all that the arena holds so far.
  std::uint32_t arena(program::DType dtype, Shape shape, float scale = 1.0F,
                      std::int32_t zero_point = 0) {
    std::uint64_t bytes = element_bytes(dtype);
    for (const std::uint32_t dim : shape) bytes *= dim;
    const std::uint64_t offset = program.arena_bytes;
    program.arena_bytes += (bytes + 63) / 64 * 64;
    return tensor(program::Storage_Arena, offset, dtype, std::move(shape), scale, zero_point);
  }

  template <typename T>
  std::uint32_t constant(program::DType dtype, Shape shape, const std::vector<T>& values) {
    const std::size_t offset = (program.constants.size() + 63) / 64 * 64;
    program.constants.resize(offset + values.size() * sizeof(T));
    std::memcpy(program.constants.data() + offset, values.data(), values.size() * sizeof(T));
    return tensor(program::Storage_Constant, offset, dtype, std::move(shape));
  }

  template <typename Table>
  void step(Table op, std::string name = "node") {
    auto entry = std::make_unique<program::StepT>();
    entry->op.Set(std::move(op));
    entry->name = std::move(name);
    program.steps.push_back(std::move(entry));
  }

  [[nodiscard]] std::vector<std::byte> payload() const { return payload_of(program); }
};

}  // namespace enn::testing

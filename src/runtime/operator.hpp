// The border between the program loader and the operators. At load each Step is *bound*: everything
// about it is checked, its weights are packed, its kernel chosen. Running it does none of that and
// never allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/cpu_features.hpp"
#include "base/pack_cache.hpp"
#include "enn/parallel.hpp"
#include "enn/result.hpp"
#include "program_generated.h"

namespace enn {

class ExecutionListener;  // enn/program.hpp

// A checked tensor of the program: in bounds of its storage, dimensions positive, sizes without
// overflow.
struct TensorInfo {
  std::uint32_t id = 0;
  program::DType dtype{};
  std::vector<std::int64_t> shape;  // physical, row-major
  std::int64_t numel = 0;
  std::size_t bytes = 0;
  program::Storage storage{};
  std::uint64_t offset = 0;
  float scale = 1.0F;
  std::int32_t zero_point = 0;
};

// Why a run ended before its last step: an index that its data do not allow.
struct RunFailure {
  bool failed = false;
  std::int64_t index = 0;
  std::int64_t size = 0;  // of the dimension
};

// Base addresses during one run. Inputs and outputs are the caller's, at no particular alignment.
struct Frame {
  std::byte* arena = nullptr;  // 64-byte aligned
  const std::byte* constants = nullptr;
  std::span<const std::byte* const> inputs;
  std::span<std::byte* const> outputs;
  std::byte* scratch = nullptr;  // 64-byte aligned, at least the largest scratch request
  Parallel* parallel = nullptr;
  RunFailure* failure = nullptr;
  ExecutionListener* listener = nullptr;  // who watches the run, if anybody does

  // Ends the run behind the operator that calls it, from the thread that runs the operator; its
  // result may be incomplete.
  void fail_index(std::int64_t index, std::int64_t size) const noexcept {
    if (failure != nullptr && !failure->failed) *failure = {true, index, size};
  }

  [[nodiscard]] const std::byte* read(const TensorInfo& tensor) const noexcept {
    switch (tensor.storage) {
      case program::Storage_Arena:
        return arena + tensor.offset;
      case program::Storage_Constant:
        return constants + tensor.offset;
      case program::Storage_Input:
        return inputs[tensor.offset];
      case program::Storage_Output:
        return outputs[tensor.offset];
    }
    return nullptr;
  }
  // Precondition: the tensor's storage is Arena or Output.
  [[nodiscard]] std::byte* write(const TensorInfo& tensor) const noexcept {
    return tensor.storage == program::Storage_Arena ? arena + tensor.offset
                                                    : outputs[tensor.offset];
  }
};

class Operator {
 public:
  virtual ~Operator() = default;
  virtual void run(const Frame& frame) const noexcept = 0;
  // Name of the kernel that runs, e.g. "igemm_u8_s8_u8_4x24c4_avx2"; for profiles and tests.
  [[nodiscard]] virtual std::string_view kernel() const noexcept { return "reference"; }
};

// What a bind function may ask for.
class Binder {
 public:
  virtual ~Binder() = default;
  // A tensor that the step reads. InvalidProgram when the id is out of range or when no earlier
  // step, input or constant defines all of its bytes. The pointer lives as long as the program.
  [[nodiscard]] virtual Result<const TensorInfo*> tensor(std::uint32_t id) = 0;
  // A tensor that the step writes, every byte of it: Arena or Output. InvalidProgram otherwise, and
  // when it overlaps a tensor that the step reads, unless both are the same bytes (an elementwise
  // step in place).
  [[nodiscard]] virtual Result<const TensorInfo*> result(std::uint32_t id) = 0;
  // The bytes of a Constant tensor; InvalidProgram when it is not one. They live as long as the
  // program and may lie at any address.
  [[nodiscard]] virtual Result<std::span<const std::byte>> constant(
      const TensorInfo& tensor) const = 0;
  // Weights that a step packs. Steps that pack the same bytes in the same way share the result and
  // count as one use of the constant.
  struct PackedConstant {
    std::span<const std::byte> bytes;
    bool first = true;  // no step before did so: the bytes are to be checked
    PackSource source;
  };
  // `packing` says all that decides how the bytes are packed, beside the kernel.
  [[nodiscard]] virtual Result<PackedConstant> packed_constant(const TensorInfo& tensor,
                                                               std::string_view packing) = 0;
  // Scratch memory is shared by all operators: contents do not survive from one to the next.
  virtual void request_scratch(std::size_t bytes) = 0;
  // Elementary operations (multiply-adds, window reads, …) of one run of this step, beyond one per
  // element of each tensor that was asked for; UINT64_MAX when the product overflows. The loader
  // refuses programs whose sum exceeds LoadOptions::max_operations.
  virtual void report_cost(std::uint64_t operations) = 0;
  // Kernels may use these features and no others.
  [[nodiscard]] virtual CpuFeatures features() const = 0;
  // Upper bound of Parallel::thread_count() during any run; scratch per thread is sized by it.
  [[nodiscard]] virtual int max_threads() const = 0;
};

// One per table of the Operator union, in ops/<family>/execute.cpp (Observe: observe.cpp). The
// table comes from an untrusted file whose FlatBuffer structure, but not its meaning, was verified:
// a bind function checks every id, shape, dtype, attribute and the finiteness of every float before
// it keeps a pointer, and bounds the work that a run can take by the sizes of its tensors. An
// operator may read up to 64 bytes past the end of an arena tensor (the arena has that slack) but
// never past inputs, outputs or constants.
using OperatorPtr = std::unique_ptr<Operator>;
#define ENN_BIND(Table, function) \
  [[nodiscard]] Result<OperatorPtr> function(const program::Table& op, Binder& binder);
#include "runtime/operators.def"
#undef ENN_BIND

}  // namespace enn

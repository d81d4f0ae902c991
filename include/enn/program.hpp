// Loading and running a compiled program: the C++ API that the ExecuTorch delegate, the tools and
// the tests use.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enn/parallel.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn {

// How a program is prepared to run, and what it may cost.
struct LoadOptions {
  // "reference", "avx2", …; empty: as ENN_ISA says, else the best of this CPU.
  std::string isa;
  // Upper bound of the threads that execute() will use; scratch memory is sized by it. >= 1.
  int max_threads = 1;
  // Programs that need more are refused: bytes of arena and scratch memory together, and elementary
  // operations (roughly multiply-adds) of one execute().
  std::uint64_t max_memory_bytes = std::uint64_t{2} << 30U;
  std::uint64_t max_operations = std::uint64_t{1} << 44U;
};

// The dimensions of a tensor from the outermost in memory to the innermost.
using DimOrder = std::vector<std::uint8_t>;

// What a step of a program is.
struct StepInfo {
  std::string name;         // what it does and in which place, "convolution_3"
  std::string source;       // file:line of the eager model, or empty
  std::string module_path;  // of the eager model's module that it is a part of, or empty
  std::string op;           // "Conv2D", …
  std::string kernel;       // of the chosen kernel
};

// What a run tells while it runs. Called on the thread that called execute(), between steps.
class ExecutionListener {
 public:
  virtual ~ExecutionListener() = default;
  // The float32 elements of the value that the graph's tap number `tap` (Graph::add_tap) stands
  // for, in the order of memory, which is not always that of the shape. Valid during the call. A
  // program from a stranger may show any number.
  virtual void on_tap(std::uint32_t /*tap*/, std::span<const float> /*values*/,
                      Parallel& /*parallel*/) noexcept {}
  // The same elements after that, to be changed: the steps that follow read what is written into
  // them. Not called for constants and for the caller's tensors.
  virtual void on_change(std::uint32_t /*tap*/, std::span<float> /*values*/,
                         Parallel& /*parallel*/) noexcept {}
  // Step number `step` of steps() took this long.
  virtual void on_step(std::size_t /*step*/, std::chrono::nanoseconds /*elapsed*/) noexcept {}
};

// A loaded program. execute() on one Program must not run at the same time on two threads.
class Program {
 public:
  virtual ~Program() = default;

  // Verifies `payload` (schema/README.md) and prepares it to run. Trusts nothing in it. The bytes
  // may lie at any address; they must outlive the Program unless owns_payload().
  [[nodiscard]] static Result<std::unique_ptr<Program>> load(std::span<const std::byte> payload,
                                                             const LoadOptions& options = {});

  // Types of the caller's tensors: dense, row-major in the order of the shape.
  [[nodiscard]] virtual std::span<const TensorType> inputs() const noexcept = 0;
  [[nodiscard]] virtual std::span<const TensorType> outputs() const noexcept = 0;
  // One per input and output of a model that keeps tensors in another order in memory, say
  // channels_last: dimension d of the type above is the model's dimension order[d]. An empty one
  // stands for the same order.
  [[nodiscard]] virtual const std::vector<DimOrder>& input_orders() const noexcept = 0;
  [[nodiscard]] virtual const std::vector<DimOrder>& output_orders() const noexcept = 0;
  [[nodiscard]] virtual const std::vector<StepInfo>& steps() const noexcept = 0;
  [[nodiscard]] virtual std::string_view isa() const noexcept = 0;
  [[nodiscard]] virtual std::size_t arena_bytes() const noexcept = 0;
  // True when load() copied what it needs of the payload (it does so when the address is not
  // aligned).
  [[nodiscard]] virtual bool owns_payload() const noexcept = 0;

  // Preconditions: one pointer per input and output, each to at least the bytes of its type;
  // outputs do not overlap inputs or each other. Does not allocate, unless it fails:
  // InvalidArgument when an index that the model computes or is given lies outside the tensor that
  // it points into. The outputs are incomplete then.
  [[nodiscard]] virtual Status execute(std::span<const std::byte* const> inputs,
                                       std::span<std::byte* const> outputs, Parallel& parallel,
                                       ExecutionListener* listener = nullptr) noexcept = 0;
};

}  // namespace enn

#include "enn/program.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/guard.hpp"
#include "runtime/binding.hpp"
#include "runtime/payload.hpp"
#include "runtime/printable.hpp"
#include "runtime/tensors.hpp"
#include "symbolic_generated.h"

namespace enn {
namespace {

constexpr std::size_t kAlignment = 64;
// Operators may read this far past an arena tensor.
constexpr std::size_t kReadSlack = 64;
// Alignment that the FlatBuffer's scalars need.
constexpr std::size_t kBodyAlignment = 16;
// A model has a few hundred steps; a file that lists one table over and over is stopped here.
constexpr flatbuffers::uoffset_t kMaxTables = 1U << 18U;
constexpr flatbuffers::uoffset_t kMaxDepth = 16;

bool is_aligned(const std::byte* address, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

// Zeroed memory at a multiple of 64 bytes. The pages of a large block are not touched before their
// first use.
class AlignedBytes {
 public:
  [[nodiscard]] bool allocate(std::size_t bytes) {
    block_.reset(static_cast<std::byte*>(std::calloc(bytes + kAlignment, 1)));
    if (block_ == nullptr) return false;
    void* start = block_.get();
    std::size_t space = bytes + kAlignment;
    data_ = static_cast<std::byte*>(std::align(kAlignment, bytes, start, space));
    return true;
  }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  std::unique_ptr<std::byte, Free> block_;
  std::byte* data_ = nullptr;
};

// At most `limit` threads, whatever the caller's pool has: scratch memory is sized for them.
class LimitedParallel final : public Parallel {
 public:
  LimitedParallel(Parallel& parallel, int limit) : parallel_(parallel), limit_(limit) {}
  [[nodiscard]] int thread_count() const noexcept override {
    return std::clamp(parallel_.thread_count(), 1, limit_);
  }
  void run(int tasks, TaskRef task) noexcept override { parallel_.run(tasks, task); }

 private:
  Parallel& parallel_;
  int limit_;
};

class LoadedProgram final : public Program {
 public:
  [[nodiscard]] Status prepare(std::span<const std::byte> payload, const LoadOptions& options) {
    if (options.max_threads < 1) {
      return error(Code::InvalidArgument, "max_threads is ", options.max_threads,
                   "; it must be at least 1");
    }
    max_threads_ = options.max_threads;
    ENN_ASSIGN(features_, options.isa.empty() ? selected_features() : features_of_isa(options.isa));
    ENN_ASSIGN(std::span<const std::byte> body, open_payload(payload));
    if (!is_aligned(body.data(), kBodyAlignment)) {
      if (!own_body_.allocate(body.size())) return out_of_memory(body.size());
      std::memcpy(own_body_.data(), body.data(), body.size());
      body = {own_body_.data(), body.size()};
    }
    ENN_ASSIGN(const program::Program* const root, verified_root(body));
    ENN_ASSIGN(tensors_, check_tensors(*root));
    if (root->constants() != nullptr) {
      constants_ = std::as_bytes(std::span(root->constants()->data(), root->constants()->size()));
    }
    if (!is_aligned(constants_.data(), kBodyAlignment)) {
      return error(Code::InvalidProgram, "the program's constants are not aligned to ",
                   kBodyAlignment, " bytes");
    }
    if (root->arena_bytes() > options.max_memory_bytes) {
      return error(Code::ResourceExhausted, "the program's arena has ", root->arena_bytes(),
                   " bytes; ", options.max_memory_bytes, " are allowed");
    }
    arena_bytes_ = static_cast<std::size_t>(root->arena_bytes());
    return bind_steps(*root, options);
  }

  [[nodiscard]] std::span<const TensorType> inputs() const noexcept override {
    return tensors_.inputs;
  }
  [[nodiscard]] std::span<const TensorType> outputs() const noexcept override {
    return tensors_.outputs;
  }
  [[nodiscard]] const std::vector<DimOrder>& input_orders() const noexcept override {
    return tensors_.input_orders;
  }
  [[nodiscard]] const std::vector<DimOrder>& output_orders() const noexcept override {
    return tensors_.output_orders;
  }
  [[nodiscard]] const std::vector<StepInfo>& steps() const noexcept override { return steps_; }
  [[nodiscard]] std::string_view isa() const noexcept override { return isa_name(features_); }
  [[nodiscard]] std::size_t arena_bytes() const noexcept override { return arena_bytes_; }
  [[nodiscard]] bool owns_payload() const noexcept override { return own_body_.data() != nullptr; }

  [[nodiscard]] Status execute(std::span<const std::byte* const> inputs,
                               std::span<std::byte* const> outputs, Parallel& parallel,
                               ExecutionListener* listener) noexcept override {
    LimitedParallel limited(parallel, max_threads_);
    Frame frame;
    frame.arena = arena_.data();
    frame.constants = constants_.data();
    frame.inputs = inputs;
    frame.outputs = outputs;
    frame.scratch = scratch_.data();
    frame.parallel = &limited;
    RunFailure failure;
    frame.failure = &failure;
    frame.listener = listener;
    for (std::size_t i = 0; i < operators_.size(); ++i) {
      run_step(i, frame);
      if (failure.failed) return failed_step(i, failure);
    }
    return {};
  }

 private:
  void run_step(std::size_t index, const Frame& frame) const noexcept {
    if (frame.listener == nullptr) {
      operators_[index]->run(frame);
      return;
    }
    const auto start = std::chrono::steady_clock::now();
    operators_[index]->run(frame);
    frame.listener->on_step(index, std::chrono::steady_clock::now() - start);
  }

  [[nodiscard]] Status failed_step(std::size_t index, const RunFailure& failure) const noexcept {
    return error_if_memory_lasts(Code::InvalidArgument, "step ", index, " (", steps_[index].op,
                                 " '", steps_[index].name, "'): index ", failure.index,
                                 " is out of range for a dimension of size ", failure.size);
  }

  static Status out_of_memory(std::size_t bytes) {
    return error(Code::ResourceExhausted, "cannot allocate ", bytes, " bytes for the program");
  }

  static Result<const program::Program*> verified_root(std::span<const std::byte> body) {
    // The verifier itself requires this much and this little.
    if (body.size() < 16 || body.size() >= FLATBUFFERS_MAX_BUFFER_SIZE) {
      return error(Code::InvalidProgram, "a program cannot have ", body.size(), " bytes");
    }
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(body.data());
    flatbuffers::Verifier verifier(bytes, body.size(), kMaxDepth, kMaxTables);
    if (symbolic::GraphBufferHasIdentifier(bytes)) {
      return error(Code::Unsupported,
                   "the program has sizes that only a run knows: ExecuTorch's runtime runs it");
    }
    if (!program::VerifyProgramBuffer(verifier)) {
      return error(Code::InvalidProgram, "the program's FlatBuffer is malformed");
    }
    const program::Program* const root = program::GetProgram(bytes);
    if (root->version() < program::Version_MIN || root->version() > program::Version_MAX) {
      return error(Code::InvalidProgram, "the program has version ", root->version(),
                   ", this runtime runs versions 1 to ", std::uint32_t{program::Version_MAX});
    }
    return root;
  }

  [[nodiscard]] Status bind_steps(const program::Program& root, const LoadOptions& options) {
    ProgramBinder binder(tensors_, constants_, features_,
                         {.max_threads = max_threads_,
                          .max_scratch_bytes = options.max_memory_bytes - arena_bytes_,
                          .max_operations = options.max_operations});
    const flatbuffers::uoffset_t count = root.steps() == nullptr ? 0 : root.steps()->size();
    for (flatbuffers::uoffset_t i = 0; i < count; ++i) {
      const program::Step& step = *root.steps()->Get(i);
      ENN_ASSIGN(OperatorPtr op, binder.bind(i, step));
      steps_.push_back({.name = printable(step.name()),
                        .source = printable(step.source()),
                        .module_path = printable(step.module_path()),
                        .op = program::EnumNameOperator(step.op_type()),
                        .kernel = std::string(op->kernel())});
      operators_.push_back(std::move(op));
    }
    ENN_TRY(binder.finish());
    if (!arena_.allocate(arena_bytes_ + kReadSlack)) return out_of_memory(arena_bytes_);
    if (!scratch_.allocate(binder.scratch_bytes())) return out_of_memory(binder.scratch_bytes());
    return {};
  }

  int max_threads_ = 1;
  CpuFeatures features_;
  AlignedBytes own_body_;
  CheckedTensors tensors_;
  std::span<const std::byte> constants_;
  std::size_t arena_bytes_ = 0;
  AlignedBytes arena_;
  AlignedBytes scratch_;
  std::vector<OperatorPtr> operators_;
  std::vector<StepInfo> steps_;
};

}  // namespace

Result<std::unique_ptr<Program>> Program::load(std::span<const std::byte> payload,
                                               const LoadOptions& options) {
  return guarded("load the program", [&]() -> Result<std::unique_ptr<Program>> {
    auto loaded = std::make_unique<LoadedProgram>();
    ENN_TRY(loaded->prepare(payload, options));
    return std::unique_ptr<Program>(std::move(loaded));
  });
}

}  // namespace enn

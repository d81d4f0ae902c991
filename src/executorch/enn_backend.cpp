// The delegate "EnnBackend": maps ExecuTorch's tensors, errors and threads to the engine's, nothing
// else.
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>
#include <executorch/runtime/platform/log.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/guard.hpp"
#include "enn/program.hpp"
#include "enn/symbolic_program.hpp"
#include "executorch/tensor_checks.hpp"

namespace enn {
namespace {

using executorch::extension::threadpool::NoThreadPoolGuard;
using executorch::runtime::ArrayRef;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInitContext;
using executorch::runtime::CompileSpec;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::FreeableBuffer;
using executorch::runtime::Span;

// The runtime's own pool.
class RuntimeParallel final : public Parallel {
 public:
  [[nodiscard]] int thread_count() const noexcept override {
    if (NoThreadPoolGuard::is_enabled()) return 1;
    return static_cast<int>(
        std::clamp<std::int64_t>(executorch::extension::get_thread_count(), 1, kMostThreads));
  }

  void run(int tasks, TaskRef task) noexcept override {
    const bool done =
        executorch::extension::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) task(static_cast<int>(i));
        });
    failed_ = failed_ || !done;
  }

  [[nodiscard]] bool failed() const { return failed_; }

 private:
  static constexpr std::int64_t kMostThreads = 1024;
  bool failed_ = false;
};

// The pool may be resized after a method was loaded: memory is planned for as many threads as it
// has or the machine could use, and execute() takes no more.
int most_threads() {
  return std::max(
      {RuntimeParallel().thread_count(), static_cast<int>(std::thread::hardware_concurrency()), 1});
}

Error error_of(Code code) {
  switch (code) {
    case Code::Ok:
      return Error::Ok;
    case Code::InvalidArgument:
      return Error::InvalidArgument;
    case Code::Unsupported:
      return Error::NotSupported;
    case Code::InvalidGraph:
    case Code::InvalidProgram:
      return Error::DelegateInvalidCompatibility;
    case Code::ResourceExhausted:
      return Error::DelegateMemoryAllocationFailed;
    case Code::Internal:
      return Error::Internal;
  }
  return Error::Internal;
}

Error report(const Status& status) {
  ET_LOG(Error, "EnnBackend: %s", status.message().c_str());
  return error_of(status.code());
}

// How many methods this thread has loaded. ExecuTorch copies inputs into its own planned memory
// before a delegate sees them, by bytes and not by strides; the Python door compares this number
// before and after a load to know whose inputs it must arrange (openenn/runtime.py).
thread_local std::uint64_t loaded_methods = 0;

// A program that runs on the arguments of a call: one for all calls, or one for their sizes.
class LoadedMethod {
 public:
  virtual ~LoadedMethod() = default;

  // Whether the payload that it was loaded from may be freed.
  [[nodiscard]] virtual bool owns_payload() const = 0;

  [[nodiscard]] Status execute(Span<EValue*> args) {
    ENN_ASSIGN(Program* const program, prepare(args));
    RuntimeParallel parallel;
    ENN_TRY(program->execute(inputs_, outputs_, parallel));
    if (!parallel.failed()) return {};
    return error(Code::Internal, "the runtime's thread pool refused a job");
  }

 protected:
  // Fills inputs_ and outputs_ for the program that it gives.
  [[nodiscard]] virtual Result<Program*> prepare(Span<EValue*> args) = 0;

  [[nodiscard]] static Status check_count(Span<EValue*> args, std::size_t inputs,
                                          std::size_t outputs) {
    if (args.size() == inputs + outputs) return {};
    return error(Code::InvalidArgument, "the program takes ", inputs, " inputs and ", outputs,
                 " outputs, but was called with ", args.size(), " arguments");
  }

  // Takes the tensors' bytes. `numbers` are the places of the program's inputs among the arguments.
  [[nodiscard]] Status take(const Program& program, Span<EValue*> args,
                            std::span<const std::size_t> numbers, std::size_t first_output) {
    inputs_.resize(program.inputs().size());
    outputs_.resize(program.outputs().size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      ENN_ASSIGN(const auto bytes, check_tensor("input", numbers[i], args[numbers[i]],
                                                program.inputs()[i], program.input_orders()[i]));
      inputs_[i] = bytes.data();
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      ENN_ASSIGN(const auto bytes, check_tensor("output", i, args[first_output + i],
                                                program.outputs()[i], program.output_orders()[i]));
      outputs_[i] = bytes.data();
    }
    return check_no_overlap(inputs_, program.inputs(), outputs_, program.outputs());
  }

 private:
  std::vector<const std::byte*> inputs_;
  std::vector<std::byte*> outputs_;
};

class StaticMethod final : public LoadedMethod {
 public:
  explicit StaticMethod(std::unique_ptr<Program> program)
      : program_(std::move(program)), numbers_(program_->inputs().size()) {
    std::iota(numbers_.begin(), numbers_.end(), std::size_t{0});
  }

  [[nodiscard]] bool owns_payload() const override { return program_->owns_payload(); }

 protected:
  [[nodiscard]] Result<Program*> prepare(Span<EValue*> args) override {
    ENN_TRY(check_count(args, numbers_.size(), program_->outputs().size()));
    ENN_TRY(take(*program_, args, numbers_, numbers_.size()));
    return program_.get();
  }

 private:
  std::unique_ptr<Program> program_;
  std::vector<std::size_t> numbers_;
};

class SymbolicMethod final : public LoadedMethod {
 public:
  explicit SymbolicMethod(std::unique_ptr<SymbolicProgram> program)
      : program_(std::move(program)), sizes_(program_->integer_inputs().size()) {
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      if (!program_->integer_inputs()[i]) numbers_.push_back(i);
    }
  }

  [[nodiscard]] bool owns_payload() const override { return true; }

 protected:
  [[nodiscard]] Result<Program*> prepare(Span<EValue*> args) override {
    ENN_TRY(check_count(args, sizes_.size(), program_->output_count()));
    for (std::size_t i = 0; i < sizes_.size(); ++i) ENN_TRY(read_sizes(i, args[i]));
    ENN_ASSIGN(Program* const program, program_->specialize(sizes_));
    if (program->inputs().size() != numbers_.size() ||
        program->outputs().size() != program_->output_count()) {
      return error(Code::Internal, "the compiled program has other inputs or outputs");
    }
    for (std::size_t i = 0; i < program->outputs().size(); ++i) {
      ENN_TRY(
          resize_output(i, args[sizes_.size() + i],
                        in_own_order(program->outputs()[i], program->output_orders()[i]).shape));
    }
    ENN_TRY(take(*program, args, numbers_, sizes_.size()));
    return program;
  }

 private:
  [[nodiscard]] Status read_sizes(std::size_t i, const EValue* value) {
    sizes_[i].clear();
    if (program_->integer_inputs()[i]) {
      if (!value->isInt()) return error(Code::InvalidArgument, "input ", i, " is not an integer");
      sizes_[i].push_back(value->toInt());
      return {};
    }
    if (!value->isTensor()) return error(Code::InvalidArgument, "input ", i, " is not a tensor");
    const auto sizes = value->toTensor().sizes();
    sizes_[i].assign(sizes.begin(), sizes.end());
    return {};
  }

  [[nodiscard]] static Status resize_output(std::size_t i, EValue* value, const Shape& shape) {
    if (!value->isTensor()) return error(Code::InvalidArgument, "output ", i, " is not a tensor");
    std::vector<executorch::aten::SizesType> sizes;
    for (const std::int64_t size : shape)
      sizes.push_back(static_cast<executorch::aten::SizesType>(size));
    if (executorch::runtime::resize_tensor(value->toTensor(), {sizes.data(), sizes.size()}) ==
        Error::Ok) {
      return {};
    }
    return error(Code::InvalidArgument, "output ", i, " would be ", list_str(shape),
                 ", more than the memory that was planned for it");
  }

  std::unique_ptr<SymbolicProgram> program_;
  std::vector<std::size_t> numbers_;
  std::vector<Shape> sizes_;
};

Result<std::unique_ptr<LoadedMethod>> load_method(std::span<const std::byte> payload) {
  const LoadOptions options{.isa = {}, .max_threads = most_threads()};
  if (SymbolicProgram::holds(payload)) {
    ENN_ASSIGN(auto program, SymbolicProgram::load(payload, options));
    return std::unique_ptr<LoadedMethod>(std::make_unique<SymbolicMethod>(std::move(program)));
  }
  ENN_ASSIGN(auto program, Program::load(payload, options));
  return std::unique_ptr<LoadedMethod>(std::make_unique<StaticMethod>(std::move(program)));
}

class EnnBackend final : public executorch::runtime::BackendInterface {
 public:
  [[nodiscard]] bool is_available() const override { return true; }

  // Any compile specification is accepted: a program runs on every CPU, whatever chipset it names.
  executorch::runtime::Result<DelegateHandle*> init(
      BackendInitContext& /*context*/, FreeableBuffer* processed,
      ArrayRef<CompileSpec> /*compile_specs*/) const override {
    const auto data = processed->data_safe();
    if (!data.ok()) return data.error();
    const std::span payload(static_cast<const std::byte*>(data.get()), processed->size());
    auto loaded = guarded("load the program", [&] { return load_method(payload); });
    if (!loaded.ok()) return report(loaded.status());
    if (loaded.value()->owns_payload()) processed->Free();
    ++loaded_methods;
    return std::move(loaded).value().release();
  }

  Error execute(BackendExecutionContext& /*context*/, DelegateHandle* handle,
                Span<EValue*> args) const override {
    const Status status = guarded(
        "run the program", [&] { return static_cast<LoadedMethod*>(handle)->execute(args); });
    return status.ok() ? Error::Ok : report(status);
  }

  void destroy(DelegateHandle* handle) const override { delete static_cast<LoadedMethod*>(handle); }
};

EnnBackend backend;
[[maybe_unused]] const Error registered =
    executorch::runtime::register_backend({"EnnBackend", &backend});

}  // namespace
}  // namespace enn

extern "C" __attribute__((visibility("default"))) std::uint64_t enn_backend_loaded_methods() {
  return enn::loaded_methods;
}

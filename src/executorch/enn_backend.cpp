// The delegate "EnnBackend": maps ExecuTorch's tensors, errors and threads to the engine's, nothing
// else.
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>
#include <executorch/runtime/platform/log.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "enn/program.hpp"
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
// before and after a load to know whose inputs it must check (openenn/runtime.py).
thread_local std::uint64_t loaded_methods = 0;

struct LoadedMethod {
  explicit LoadedMethod(std::unique_ptr<Program> loaded)
      : program(std::move(loaded)),
        inputs(program->inputs().size()),
        outputs(program->outputs().size()) {}

  // Fills `inputs` and `outputs`, which follow each other in `args`.
  [[nodiscard]] Status take(Span<EValue*> args) {
    if (args.size() != inputs.size() + outputs.size()) {
      return error(Code::InvalidArgument, "the program takes ", inputs.size(), " inputs and ",
                   outputs.size(), " outputs, but was called with ", args.size(), " arguments");
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ENN_ASSIGN(const auto bytes, check_tensor("input", i, args[i], program->inputs()[i]));
      inputs[i] = bytes.data();
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      ENN_ASSIGN(const auto bytes,
                 check_tensor("output", i, args[inputs.size() + i], program->outputs()[i]));
      outputs[i] = bytes.data();
    }
    return check_no_overlap(inputs, program->inputs(), outputs, program->outputs());
  }

  std::unique_ptr<Program> program;
  std::vector<const std::byte*> inputs;
  std::vector<std::byte*> outputs;
};

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
    auto loaded = Program::load(payload, {.isa = {}, .max_threads = most_threads()});
    if (!loaded.ok()) return report(loaded.status());
    if (loaded.value()->owns_payload()) processed->Free();
    auto* const method = new (std::nothrow) LoadedMethod(std::move(loaded).value());
    if (method == nullptr) return Error::DelegateMemoryAllocationFailed;
    ++loaded_methods;
    return method;
  }

  Error execute(BackendExecutionContext& /*context*/, DelegateHandle* handle,
                Span<EValue*> args) const override {
    auto* const method = static_cast<LoadedMethod*>(handle);
    if (const Status status = method->take(args); !status.ok()) return report(status);
    RuntimeParallel parallel;
    const Status status = method->program->execute(method->inputs, method->outputs, parallel);
    if (!status.ok()) return report(status);
    if (!parallel.failed()) return Error::Ok;
    return report(error(Code::Internal, "the runtime's thread pool refused a job"));
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

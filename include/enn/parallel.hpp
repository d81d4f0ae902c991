// How the runtime borrows threads. The engine owns none of its own when it runs inside ExecuTorch:
// the delegate passes an adapter over the runtime's pool.
#pragma once

#include <memory>
#include <type_traits>

namespace enn {

// A non-owning reference to a callable `void(int task)`; valid only during the call it is passed
// to.
class TaskRef {
 public:
  // `f` is not copied: it lives as long as the reference.
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, TaskRef>)
  TaskRef(F&& f)  // NOLINT: implicit by intent
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* object, int task) {
          (*static_cast<std::remove_reference_t<F>*>(object))(task);
        }) {}

  // Calls it.
  void operator()(int task) const { call_(object_, task); }

 private:
  void* object_;
  void (*call_)(void*, int);
};

// Threads that belong to someone else.
class Parallel {
 public:
  virtual ~Parallel() = default;
  // Threads that run() may use at the same time, >= 1.
  [[nodiscard]] virtual int thread_count() const noexcept = 0;
  // Calls task(0) … task(tasks - 1), each once, in any order and on any thread; returns when all
  // are done.
  virtual void run(int tasks, TaskRef task) noexcept = 0;
};

// Runs everything on the calling thread.
class SerialParallel final : public Parallel {
 public:
  [[nodiscard]] int thread_count() const noexcept override { return 1; }
  void run(int tasks, TaskRef task) noexcept override {
    for (int i = 0; i < tasks; ++i) task(i);
  }
};

// A pool of `threads` - 1 workers and the caller, for use outside ExecuTorch. threads >= 1.
[[nodiscard]] std::unique_ptr<Parallel> make_thread_pool(int threads);

}  // namespace enn

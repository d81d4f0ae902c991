#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "enn/parallel.hpp"

namespace enn {
namespace {

// Turns of a waiting loop before the thread sleeps, some 20 to 50 microseconds: longer than the gap
// between two operators of a program, shorter than a scheduler's time slice.
constexpr int kSpins = 1000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// One job at a time. `ticket_` = generation of the job << 32 | tasks that nobody has claimed yet. A
// thread owns a task when its compare-exchange took one off the ticket; as the job cannot end
// before that task is done, `task_` and `tasks_` belong to the same generation for as long as the
// owner uses them.
class ThreadPool final : public Parallel {
 public:
  explicit ThreadPool(int threads) {
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) {
      try {
        workers_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        return;  // as many as the system allows
      }
    }
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  ~ThreadPool() override {
    stop_.store(true);
    wake();
    for (std::thread& worker : workers_) worker.join();
  }

  [[nodiscard]] int thread_count() const noexcept override {
    return static_cast<int>(workers_.size()) + 1;
  }

  void run(int tasks, TaskRef task) noexcept override {
    if (tasks <= 0) return;
    // A call from inside a task, or from a second thread, runs on its own thread.
    if (tasks == 1 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
      for (int i = 0; i < tasks; ++i) task(i);
      return;
    }
    const auto count = static_cast<std::uint32_t>(tasks);
    task_.store(&task, std::memory_order_relaxed);
    tasks_.store(count, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    const std::uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> 32U) + 1;
    ticket_.store(generation << 32U | count);
    if (sleepers_.load() > 0) wake();
    drain(generation);
    await_completion(count);
    busy_.store(false, std::memory_order_release);
  }

 private:
  // Runs tasks of the job `generation` until none is left.
  void drain(std::uint64_t generation) noexcept {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while ((ticket >> 32U) == (generation & UINT32_MAX) && (ticket & UINT32_MAX) != 0) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      const std::uint32_t tasks = tasks_.load(std::memory_order_relaxed);
      const std::uint32_t index = tasks - static_cast<std::uint32_t>(ticket);
      (*task_.load(std::memory_order_relaxed))(static_cast<int>(index));
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) done_.notify_one();
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void await_completion(std::uint32_t tasks) noexcept {
    for (int i = 0; i < kSpins; ++i) {
      if (done_.load(std::memory_order_acquire) == tasks) return;
      pause();
    }
    std::uint32_t done = done_.load(std::memory_order_acquire);
    while (done != tasks) {
      done_.wait(done, std::memory_order_acquire);
      done = done_.load(std::memory_order_acquire);
    }
  }

  void work() noexcept {
    std::uint64_t seen = 0;
    while (true) {
      const std::uint64_t generation = await_job(seen);
      if (stop_.load(std::memory_order_relaxed)) return;
      drain(generation);
      seen = generation;
    }
  }

  // The generation of a job other than `seen`, or any when the pool stops.
  std::uint64_t await_job(std::uint64_t seen) noexcept {
    const auto news = [&] {
      return (ticket_.load() >> 32U) != seen || stop_.load(std::memory_order_relaxed);
    };
    for (int i = 0; i < kSpins && !news(); ++i) pause();
    if (!news()) {
      std::unique_lock lock(mutex_);
      // Sequentially consistent with run(): either it sees this sleeper, or news() sees its ticket.
      sleepers_.fetch_add(1);
      awake_.wait(lock, news);
      sleepers_.fetch_sub(1);
    }
    return ticket_.load() >> 32U;
  }

  void wake() noexcept {
    {
      const std::lock_guard lock(mutex_);
    }
    awake_.notify_all();
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable awake_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> busy_{false};
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  std::atomic<const TaskRef*> task_{nullptr};
  std::atomic<std::uint32_t> tasks_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
};

}  // namespace

std::unique_ptr<Parallel> make_thread_pool(int threads) {
  return std::make_unique<ThreadPool>(std::max(threads, 1));
}

}  // namespace enn

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/thread_count.hpp"
#include "enn/parallel.hpp"

namespace enn {
namespace {

// Runs `tasks` tasks and expects each to have been called once. The counters are plain: run()
// itself must order the tasks' writes before the caller's reads.
void expect_each_once(Parallel& pool, int tasks) {
  std::vector<int> calls(static_cast<std::size_t>(tasks), 0);
  pool.run(tasks, [&](int task) { ++calls[static_cast<std::size_t>(task)]; });
  EXPECT_EQ(calls, std::vector<int>(static_cast<std::size_t>(tasks), 1));
}

TEST(ThreadPool, EveryTaskIsCalledOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    const std::unique_ptr<Parallel> pool = make_thread_pool(threads);
    EXPECT_EQ(pool->thread_count(), threads);
    for (const int tasks : {0, 1, 2, 3, 7, 64, 1000}) expect_each_once(*pool, tasks);
  }
}

TEST(ThreadCount, IsBetweenOneAndTheCpus) {
  const auto cpus = static_cast<int>(std::thread::hardware_concurrency());
  ASSERT_GE(cpus, 1);
  EXPECT_EQ(usable_threads(1), 1);
  EXPECT_EQ(usable_threads(0), 1);
  EXPECT_EQ(usable_threads(cpus), cpus);
  EXPECT_EQ(usable_threads(cpus + 97), cpus);
}

TEST(ThreadPool, ManyShortJobsInARow) {
  const std::unique_ptr<Parallel> pool = make_thread_pool(3);
  for (int round = 0; round < 20'000; ++round) expect_each_once(*pool, 1 + round % 5);
}

TEST(ThreadPool, WorkersWakeAfterSleeping) {
  const std::unique_ptr<Parallel> pool = make_thread_pool(3);
  for (int round = 0; round < 50; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    expect_each_once(*pool, 16);
  }
}

TEST(ThreadPool, TasksRunAtTheSameTime) {
  const std::unique_ptr<Parallel> pool = make_thread_pool(2);
  std::atomic<int> arrived{0};
  // Each task waits for the other: this ends only if two threads run them.
  pool->run(2, [&](int) {
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 2);
}

TEST(ThreadPool, AJobInsideATaskRunsOnItsThread) {
  const std::unique_ptr<Parallel> pool = make_thread_pool(2);
  std::atomic<int> inner{0};
  pool->run(4, [&](int) {
    const std::thread::id self = std::this_thread::get_id();
    pool->run(8, [&](int) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      inner.fetch_add(1);
    });
  });
  EXPECT_EQ(inner.load(), 32);
}

TEST(ThreadPool, CallersOnTwoThreadsDoNotMix) {
  const std::unique_ptr<Parallel> pool = make_thread_pool(3);
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) expect_each_once(*pool, 6);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, PoolsComeAndGo) {
  for (int round = 0; round < 200; ++round) {
    const std::unique_ptr<Parallel> pool = make_thread_pool(1 + round % 4);
    if (round % 3 == 0) expect_each_once(*pool, 5);
  }
}

}  // namespace
}  // namespace enn

// What the kernel tests share: memory that faults right behind its end, random data, thread pools.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "base/cpu_features.hpp"
#include "enn/parallel.hpp"

namespace enn::testing {

// `count` elements between two inaccessible pages, touching one of them.
template <typename T>
class Guarded {
 public:
  enum class Touch { Front, Back };

  explicit Guarded(std::size_t count, Touch touch = Touch::Back) : count_(count) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    const std::size_t inner = (bytes + page - 1) / page * page;
    size_ = inner + 2 * page;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    base_ = static_cast<std::byte*>(memory);
    mprotect(base_, page, PROT_NONE);
    mprotect(base_ + page + inner, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + page + (touch == Touch::Front ? 0 : inner - bytes));
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, size_); }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::span<T> span() const { return {data_, count_}; }

 private:
  std::size_t count_;
  std::size_t size_ = 0;
  std::byte* base_ = nullptr;
  T* data_ = nullptr;
};

// The seed of a test run: ENN_TEST_SEED, or a fixed one. Shown when a test fails.
[[nodiscard]] inline std::uint32_t test_seed() {
  const char* text = std::getenv("ENN_TEST_SEED");
  return text != nullptr ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : 20260823U;
}

class Random {
 public:
  explicit Random(std::uint32_t stream) : engine_(test_seed() + stream) {}

  [[nodiscard]] std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  [[nodiscard]] float real(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine_);
  }
  template <typename T>
  void fill(std::span<T> values, std::int64_t low, std::int64_t high) {
    for (T& value : values) value = static_cast<T>(integer(low, high));
  }
  void fill(std::span<float> values, float low, float high) {
    for (float& value : values) value = real(low, high);
  }

 private:
  std::mt19937 engine_;
};

[[nodiscard]] inline bool cpu_has(CpuFeatures features) {
  return detected_features().contains(features);
}

[[nodiscard]] inline std::string lacks(const char* kernel) {
  return std::string("this CPU lacks the instructions of ") + kernel;
}

}  // namespace enn::testing

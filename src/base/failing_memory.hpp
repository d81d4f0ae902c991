// For tests of what happens when memory runs out. Included by one source of a test program, whose
// operator new it replaces.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

namespace enn::testing {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
inline std::atomic<std::int64_t> allocations_left{kNever};

// While it lives, of the allocations of at least `min_bytes` the one after `count` others fails,
// and so does every later one up to `failures` of them.
class FailingMemory {
 public:
  explicit FailingMemory(std::int64_t count, std::int64_t failures, std::size_t min_bytes = 0)
      : failures_(failures) {
    smallest = min_bytes;
    failures_left = failures_;
    allocations_left = count;
  }
  ~FailingMemory() { allocations_left = kNever; }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  // Whether any allocation has failed.
  [[nodiscard]] bool failed() const { return failures_left < failures_; }

  inline static std::atomic<std::int64_t> failures_left{0};
  inline static std::atomic<std::size_t> smallest{0};

 private:
  std::int64_t failures_;
};

inline void* allocate(std::size_t bytes) {
  if (allocations_left != kNever && bytes >= FailingMemory::smallest && --allocations_left < 0 &&
      FailingMemory::failures_left > 0) {
    --FailingMemory::failures_left;
    throw std::bad_alloc();
  }
  void* const block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace enn::testing

void* operator new(std::size_t bytes) { return enn::testing::allocate(bytes); }
void* operator new[](std::size_t bytes) { return enn::testing::allocate(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

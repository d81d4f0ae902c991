#include "memory_watch.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> current{0};
std::atomic<std::size_t> peak{0};

// Null when there is no memory.
void* watched_allocation(std::size_t bytes) noexcept {
  void* const block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) return nullptr;
  const std::size_t usable = malloc_usable_size(block);
  const std::size_t now = current.fetch_add(usable) + usable;
  std::size_t highest = peak.load();
  while (now > highest && !peak.compare_exchange_weak(highest, now)) {
  }
  return block;
}

void* allocation_or_throw(std::size_t bytes) {
  void* const block = watched_allocation(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void watched_release(void* block) noexcept {
  if (block == nullptr) return;
  current.fetch_sub(malloc_usable_size(block));
  std::free(block);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocation_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return allocation_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return watched_allocation(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return watched_allocation(bytes);
}
void operator delete(void* block) noexcept { watched_release(block); }
void operator delete[](void* block) noexcept { watched_release(block); }
void operator delete(void* block, std::size_t) noexcept { watched_release(block); }
void operator delete[](void* block, std::size_t) noexcept { watched_release(block); }

namespace enn::testing {

void reset_peak_memory() { peak.store(current.load()); }
std::size_t peak_memory() { return peak.load(); }

}  // namespace enn::testing

// out[i] = condition[i] ? a[i] : b[i] on elements of `size` bytes (1, 2, 4 or 8), for a run of n. A
// condition is true when its byte is not 0. Steps are 0 (one element for the whole run) or 1
// element.
#pragma once

#include <cstddef>
#include <cstdint>

namespace enn {

void where(std::size_t size, const std::uint8_t* condition, std::int64_t condition_step,
           const std::byte* a, std::int64_t a_step, const std::byte* b, std::int64_t b_step,
           std::byte* out, std::int64_t n) noexcept;

}  // namespace enn

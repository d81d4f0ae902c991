#include "kernels/where/where.hpp"

#include <cstring>

namespace enn {
namespace {

template <std::int64_t kSize>
void where_sized(const std::uint8_t* condition, std::int64_t condition_step, const std::byte* a,
                 std::int64_t a_step, const std::byte* b, std::int64_t b_step, std::byte* out,
                 std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::byte* from =
        condition[i * condition_step] != 0 ? a + i * a_step * kSize : b + i * b_step * kSize;
    std::memcpy(out + i * kSize, from, kSize);
  }
}

}  // namespace

void where(std::size_t size, const std::uint8_t* condition, std::int64_t condition_step,
           const std::byte* a, std::int64_t a_step, const std::byte* b, std::int64_t b_step,
           std::byte* out, std::int64_t n) noexcept {
  switch (size) {
    case 1:
      return where_sized<1>(condition, condition_step, a, a_step, b, b_step, out, n);
    case 2:
      return where_sized<2>(condition, condition_step, a, a_step, b, b_step, out, n);
    case 4:
      return where_sized<4>(condition, condition_step, a, a_step, b, b_step, out, n);
    default:
      return where_sized<8>(condition, condition_step, a, a_step, b, b_step, out, n);
  }
}

}  // namespace enn

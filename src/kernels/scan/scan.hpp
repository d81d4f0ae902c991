// Running sums and products, and orders, along the middle dimension of [outer][count][inner]; these
// functions see one run of `count` elements, `stride` apart.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace enn {

// What a running result begins with, and how it takes in the next element.
struct Sum {
  static constexpr int kFirst = 0;
  template <typename T>
  [[nodiscard]] static T with(T total, T x) {
    return total + x;
  }
};
struct Product {
  static constexpr int kFirst = 1;
  template <typename T>
  [[nodiscard]] static T with(T total, T x) {
    return total * x;
  }
};

// out[j] is the sum (or product) of in[0 .. j], in double and rounded each time it is written.
template <typename Fold>
void cumulative_f32(const float* in, std::int64_t count, std::int64_t stride, float* out) noexcept {
  double total = Fold::kFirst;
  for (std::int64_t j = 0; j < count; ++j) {
    total = Fold::with(total, static_cast<double>(in[j * stride]));
    out[j * stride] = static_cast<float>(total);
  }
}

// The same modulo 2^64.
template <typename Fold, typename T>
void cumulative_integers(const T* in, std::int64_t count, std::int64_t stride,
                         std::int64_t* out) noexcept {
  std::uint64_t total = Fold::kFirst;
  for (std::int64_t j = 0; j < count; ++j) {
    total = Fold::with(total, static_cast<std::uint64_t>(in[j * stride]));
    out[j * stride] = static_cast<std::int64_t>(total);
  }
}

// A number that orders as the element does; NaN above everything, -0 and 0 equal.
[[nodiscard]] inline std::uint32_t order_key(std::uint8_t x) { return x; }
[[nodiscard]] inline std::uint32_t order_key(std::int32_t x) {
  return static_cast<std::uint32_t>(x) ^ 0x80000000U;
}
[[nodiscard]] inline std::uint32_t order_key(float x) {
  if (x != x) return 0xFFFFFFFFU;
  if (x == 0.0F) x = 0.0F;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// Places of the largest (or smallest) `k` elements, in order, equal ones in the order of their
// places: out[0 .. k) with `out_stride` between them. `scratch` has room for `count` numbers.
// Preconditions: 1 <= k <= count < 2^32.
template <typename T>
void top_places(const T* in, std::int64_t count, std::int64_t stride, bool largest, std::int64_t k,
                std::uint64_t* scratch, std::int64_t* out, std::int64_t out_stride) noexcept {
  for (std::int64_t j = 0; j < count; ++j) {
    const std::uint32_t key = order_key(in[j * stride]);
    // Ascending order of these is the wanted one, and no two are equal.
    scratch[j] = std::uint64_t{largest ? ~key : key} << 32U | static_cast<std::uint64_t>(j);
  }
  if (k < count) std::nth_element(scratch, scratch + k - 1, scratch + count);
  std::sort(scratch, scratch + k);
  for (std::int64_t i = 0; i < k; ++i) {
    out[i * out_stride] = static_cast<std::int64_t>(scratch[i] & 0xFFFFFFFFU);
  }
}

}  // namespace enn

// out[i] = table[in[i]] on bytes. `in` and `out` may be the same address. The table has 256
// entries.
#pragma once

#include <cstdint>

#include "kernels/kernel_row.hpp"

namespace enn {

using LutKernel = void (*)(const std::uint8_t* table, const std::uint8_t* in, std::uint8_t* out,
                           std::int64_t n) noexcept;

#define ENN_KERNEL(name, ...)                                                     \
  void name(const std::uint8_t* table, const std::uint8_t* in, std::uint8_t* out, \
            std::int64_t n) noexcept;
#include "kernels/lut/kernels.def"
#undef ENN_KERNEL

inline constexpr KernelRow<LutKernel> kLutKernels[] = {
#define ENN_KERNEL(name, ...) {#name, needs(__VA_ARGS__), name},
#include "kernels/lut/kernels.def"
#undef ENN_KERNEL
};

}  // namespace enn

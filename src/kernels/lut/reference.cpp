#include "kernels/lut/lut.hpp"

namespace enn {

void lut_u8_reference(const std::uint8_t* table, const std::uint8_t* in, std::uint8_t* out,
                      std::int64_t n) noexcept {
  for (std::int64_t i = 0; i < n; ++i) out[i] = table[in[i]];
}

}  // namespace enn

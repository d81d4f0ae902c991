// Damages files whose format no test program knows: flipped bits, overwritten and copied bytes,
// integers replaced by extremes, truncations.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace enn::testing {

[[nodiscard]] inline std::vector<std::byte> damaged(const std::vector<std::byte>& file,
                                                    std::mt19937_64& random) {
  constexpr std::uint64_t kExtremes[] = {0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF};
  std::vector<std::byte> out = file;
  const auto below = [&random](std::size_t limit) { return random() % limit; };
  // Headers are where sizes are.
  const auto place = [&] {
    return below(2) == 0 ? below(std::min<std::size_t>(out.size(), 128)) : below(out.size());
  };
  const std::size_t changes = 1 + below(4);
  for (std::size_t i = 0; i < changes && !out.empty(); ++i) {
    const std::size_t at = place();
    switch (below(6)) {
      case 0:
        out[at] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 1:
        out[at] = static_cast<std::byte>(random());
        break;
      case 2:
      case 3: {
        const std::uint64_t value = kExtremes[below(std::size(kExtremes))];
        const bool big_endian = below(2) == 0;
        for (std::size_t b = 0; b < 4 && at + b < out.size(); ++b) {
          const std::size_t shift = 8 * (big_endian ? 3 - b : b);
          out[at + b] = static_cast<std::byte>(value >> shift);
        }
        break;
      }
      case 4: {
        const std::size_t from = place();
        const std::size_t count = std::min({below(16) + 1, out.size() - from, out.size() - at});
        std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(from), count,
                    out.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      default:
        out.resize(out.size() - below(std::min<std::size_t>(out.size(), 64)));
    }
  }
  return out;
}

}  // namespace enn::testing

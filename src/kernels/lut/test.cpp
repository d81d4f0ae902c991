#include <vector>

#include "kernels/lut/lut.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;
using testing::Random;

TEST(Lut, EveryRowLooksUpEveryByte) {
  Random random(1);
  for (const auto& kernel : kLutKernels) {
    if (!testing::cpu_has(kernel.needs)) continue;
    const Guarded<std::uint8_t> table(256);
    random.fill(table.span(), 0, 255);
    for (const std::size_t n : {1U, 15U, 16U, 31U, 32U, 33U, 256U, 1000U}) {
      const Guarded<std::uint8_t> in(n);
      const Guarded<std::uint8_t> out(n);
      for (std::size_t i = 0; i < n; ++i) in.data()[i] = static_cast<std::uint8_t>(i);
      kernel.run(table.data(), in.data(), out.data(), static_cast<std::int64_t>(n));
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(out.data()[i], table.data()[i % 256]) << kernel.name << " n " << n;
      }
      kernel.run(table.data(), in.data(), in.data(), static_cast<std::int64_t>(n));
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(in.data()[i], table.data()[i % 256]) << kernel.name << " in place, n " << n;
      }
    }
  }
}

}  // namespace
}  // namespace enn

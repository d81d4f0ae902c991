#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/copy/copy.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;

// Every permutation of shapes with sizes 1 among them, for every element size, against index
// arithmetic.
TEST(Permute, EveryPermutationOfEveryShape) {
  const std::vector<std::vector<std::int64_t>> shapes = {
      {},        {1},       {7},          {3, 5},         {1, 5},
      {2, 3, 4}, {2, 1, 5}, {2, 3, 4, 5}, {1, 40, 3, 35}, {2, 3, 1, 2, 4}};
  for (const auto& shape : shapes) {
    std::vector<std::uint32_t> perm(shape.size());
    std::iota(perm.begin(), perm.end(), 0U);
    do {
      const PermutePlan plan = plan_permute(shape, perm);
      std::int64_t count = 1;
      for (const std::int64_t size : shape) count *= size;
      const std::int64_t block = plan.block.rows * plan.block.columns;
      ASSERT_EQ(block * plan.outer_count, count);
      for (const std::size_t size : {1U, 2U, 4U, 8U}) {
        const auto bytes = static_cast<std::size_t>(count) * size;
        const Guarded<std::byte> in(bytes);
        const Guarded<std::byte> out(bytes);
        for (std::size_t i = 0; i < bytes; ++i)
          in.data()[i] = static_cast<std::byte>(i * 7 + i / 251);
        for (std::int64_t i = 0; i < plan.outer_count; ++i) {
          copy_block(plan.block, size,
                     in.data() + plan.input_offset(i) * static_cast<std::int64_t>(size),
                     out.data() + i * block * static_cast<std::int64_t>(size));
        }
        std::vector<std::int64_t> strides(shape.size(), 1);
        for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
        for (std::int64_t flat = 0; flat < count; ++flat) {
          std::int64_t rest = flat;
          std::int64_t source = 0;
          for (std::size_t d = shape.size(); d-- > 0;) {
            const std::int64_t extent = shape[perm[d]];
            source += rest % extent * strides[perm[d]];
            rest /= extent;
          }
          ASSERT_EQ(std::memcmp(out.data() + flat * static_cast<std::int64_t>(size),
                                in.data() + source * static_cast<std::int64_t>(size), size),
                    0);
        }
      }
    } while (std::next_permutation(perm.begin(), perm.end()));
  }
}

TEST(Permute, ImageToChannelsLastIsOneBlock) {
  const PermutePlan plan = plan_permute({1, 3, 20, 30}, {0, 2, 3, 1});
  EXPECT_TRUE(plan.outer_shape.empty());
  EXPECT_EQ(plan.block.rows, 600);
  EXPECT_EQ(plan.block.columns, 3);
  EXPECT_EQ(plan.block.row_stride, 1);
  EXPECT_EQ(plan.block.column_stride, 600);
}

}  // namespace
}  // namespace enn

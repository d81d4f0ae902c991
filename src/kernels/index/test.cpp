#include <cstring>
#include <vector>

#include "kernels/index/index.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Guarded;

// 3 indices, one of them counted from the end, of dimension 1 of a [2, 5, 3] tensor, each with
// three elements behind it, in all element sizes.
TEST(Gather, RowsInTheMiddle) {
  const std::vector<std::int64_t> wide{4, -5, 2};
  const std::vector<std::int32_t> narrow{4, -5, 2};
  for (const std::size_t size : {1U, 2U, 4U, 8U}) {
    for (const bool is_wide : {true, false}) {
      IndexPlan plan;
      plan.shape = {2, 3, 3};
      plan.strides = {15, 0, 1};
      plan.index_strides = {{0, 1, 0}};
      plan.steps = {3};
      plan.sizes = {5};
      merge_rows(plan);
      ASSERT_EQ(plan.row, 3);
      ASSERT_EQ(plan.count, 6);
      IndexList indices;
      indices[0] = is_wide ? Indices{reinterpret_cast<const std::byte*>(wide.data()), true}
                           : Indices{reinterpret_cast<const std::byte*>(narrow.data()), false};
      const Guarded<std::byte> in(30 * size);
      const Guarded<std::byte> out(18 * size);
      for (std::size_t i = 0; i < 30 * size; ++i) in.data()[i] = static_cast<std::byte>(i);
      gather_rows(plan, indices, size, in.data(), out.data(), 0, 4);
      gather_rows(plan, indices, size, in.data(), out.data(), 4, 6);
      for (std::size_t n = 0; n < 2; ++n) {
        for (std::size_t i = 0; i < 3; ++i) {
          const std::size_t from = (n * 5 + std::vector<std::size_t>{4, 0, 2}[i]) * 3;
          EXPECT_EQ(
              std::memcmp(out.data() + (n * 3 + i) * 3 * size, in.data() + from * size, 3 * size),
              0);
        }
      }
    }
  }
}

// out[i][j] = in[a[i]][b[j]], both index tensors walked along different dimensions.
TEST(Gather, TwoIndexTensors) {
  const std::vector<std::int64_t> a{3, 0};
  const std::vector<std::int64_t> b{1, 1, -1};
  IndexPlan plan;
  plan.shape = {2, 3};
  plan.strides = {0, 0};
  plan.index_strides = {{1, 0}, {0, 1}};
  plan.steps = {6, 1};
  plan.sizes = {4, 6};
  merge_rows(plan);
  ASSERT_EQ(plan.row, 1);
  IndexList indices;
  indices[0] = {reinterpret_cast<const std::byte*>(a.data()), true};
  indices[1] = {reinterpret_cast<const std::byte*>(b.data()), true};
  std::vector<std::uint8_t> in(24);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(i);
  std::vector<std::uint8_t> out(6);
  gather_rows(plan, indices, 1, reinterpret_cast<const std::byte*>(in.data()),
              reinterpret_cast<std::byte*>(out.data()), 0, 6);
  EXPECT_EQ(out, (std::vector<std::uint8_t>{19, 19, 23, 1, 1, 5}));
}

TEST(Gather, FindsIndicesOutside) {
  const std::vector<std::int64_t> values{0, 2, -3, 3, -4};
  const Indices indices{reinterpret_cast<const std::byte*>(values.data()), true};
  EXPECT_EQ(index_outside(indices, 3, 3), std::nullopt);
  EXPECT_EQ(index_outside(indices, 5, 3), 3);
  EXPECT_EQ(index_outside(indices, 5, 4), std::nullopt);
  EXPECT_EQ(index_outside(indices, 3, 2), 2);
}

// Three rows of two go to rows 1, 0 and 1 of three: the last stays, or they add up.
TEST(Scatter, WritesInOrderOrAdds) {
  const std::vector<std::int64_t> rows{1, 0, -2};
  IndexPlan plan;
  plan.shape = {3, 2};
  plan.strides = {0, 1};
  plan.source_strides = {2, 1};
  plan.index_strides = {{1, 0}};
  plan.steps = {2};
  plan.sizes = {3};
  merge_rows(plan);
  ASSERT_EQ(plan.row, 2);
  IndexList indices;
  indices[0] = {reinterpret_cast<const std::byte*>(rows.data()), true};
  const auto check = [&]<typename T>(T) {
    const std::vector<T> source{1, 2, 3, 4, 5, 6};
    const auto* from = reinterpret_cast<const std::byte*>(source.data());
    std::vector<T> out(6, 10);
    scatter_rows(plan, indices, sizeof(T), from, reinterpret_cast<std::byte*>(out.data()));
    EXPECT_EQ(out, (std::vector<T>{3, 4, 5, 6, 10, 10}));
    std::fill(out.begin(), out.end(), T{10});
    scatter_add_rows<T>(plan, indices, from, reinterpret_cast<std::byte*>(out.data()));
    EXPECT_EQ(out, (std::vector<T>{13, 14, 16, 18, 10, 10}));
  };
  check(float{});
  check(std::int32_t{});
  check(std::int64_t{});
}

// One element of the source for every place.
TEST(Scatter, BroadcastsItsSource) {
  IndexPlan plan;
  plan.shape = {2, 2};
  plan.strides = {4, 2};
  plan.source_strides = {0, 0};
  merge_rows(plan);
  const std::uint8_t source = 7;
  std::vector<std::uint8_t> out(8);
  scatter_rows(plan, {}, 1, reinterpret_cast<const std::byte*>(&source),
               reinterpret_cast<std::byte*>(out.data()));
  EXPECT_EQ(out, (std::vector<std::uint8_t>{7, 0, 7, 0, 7, 0, 7, 0}));
}

}  // namespace
}  // namespace enn

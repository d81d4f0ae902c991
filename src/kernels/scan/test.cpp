#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/scan/scan.hpp"
#include "kernels/test_util.hpp"

namespace enn {
namespace {

using testing::Random;

TEST(CumulativeSum, OfFloatsAndIntegers) {
  const std::vector<float> reals = {0.5F, 9.0F, -3.0F, 9.0F};
  std::vector<float> sums(4, 0.0F);
  cumulative_f32<Sum>(reals.data(), 2, 2, sums.data());
  EXPECT_EQ(sums, (std::vector<float>{0.5F, 0.0F, -2.5F, 0.0F}));
  const std::vector<std::int64_t> integers = {7, -3, 4};
  std::vector<std::int64_t> totals(3);
  cumulative_integers<Sum>(integers.data(), 3, 1, totals.data());
  EXPECT_EQ(totals, (std::vector<std::int64_t>{7, 4, 8}));
}

TEST(CumulativeProduct, OfFloatsAndIntegers) {
  const std::vector<float> reals = {0.5F, 9.0F, -3.0F, 9.0F};
  std::vector<float> products(4, 0.0F);
  cumulative_f32<Product>(reals.data(), 2, 2, products.data());
  EXPECT_EQ(products, (std::vector<float>{0.5F, 0.0F, -1.5F, 0.0F}));
  const std::vector<std::int64_t> integers = {7, -3, 4};
  std::vector<std::int64_t> totals(3);
  cumulative_integers<Product>(integers.data(), 3, 1, totals.data());
  EXPECT_EQ(totals, (std::vector<std::int64_t>{7, -21, -84}));
}

TEST(TopPlaces, NotANumberIsLargestAndTiesKeepTheirOrder) {
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in = {0.0F, nan, -0.0F, -infinity, infinity, 0.0F};
  std::vector<std::uint64_t> scratch(6);
  std::vector<std::int64_t> out(6);
  top_places(in.data(), 6, 1, true, 6, scratch.data(), out.data(), 1);
  EXPECT_EQ(out, (std::vector<std::int64_t>{1, 4, 0, 2, 5, 3}));
  top_places(in.data(), 6, 1, false, 6, scratch.data(), out.data(), 1);
  EXPECT_EQ(out, (std::vector<std::int64_t>{3, 0, 2, 5, 4, 1}));
}

template <typename T>
void check_against_stable_sort(Random& random) {
  for (const std::int64_t count : {1, 2, 17, 300}) {
    std::vector<T> in(static_cast<std::size_t>(3 * count));
    for (T& x : in) x = static_cast<T>(random.integer(0, 50) - (sizeof(T) == 1 ? 0 : 25));
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    for (const bool largest : {true, false}) {
      std::vector<std::int64_t> expected = order;
      std::stable_sort(expected.begin(), expected.end(), [&](std::int64_t a, std::int64_t b) {
        const T x = in[static_cast<std::size_t>(3 * a)];
        const T y = in[static_cast<std::size_t>(3 * b)];
        return largest ? x > y : x < y;
      });
      for (const std::int64_t k : {std::int64_t{1}, (count + 1) / 2, count}) {
        std::vector<std::uint64_t> scratch(static_cast<std::size_t>(count));
        std::vector<std::int64_t> out(static_cast<std::size_t>(k));
        top_places(in.data(), count, 3, largest, k, scratch.data(), out.data(), 1);
        for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], expected[i]);
      }
    }
  }
}

TEST(TopPlaces, EqualsAStableSort) {
  Random random(5);
  check_against_stable_sort<std::uint8_t>(random);
  check_against_stable_sort<std::int32_t>(random);
  check_against_stable_sort<float>(random);
}

}  // namespace
}  // namespace enn

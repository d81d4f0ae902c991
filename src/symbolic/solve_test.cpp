#include "symbolic/solve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace enn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr const char* kHalf = "FloorDiv(Add(Symbol('s1'), Integer(1)), Integer(2))";

TEST(Solve, SymbolsAloneAndFactors) {
  const auto values = solve({{"Mul(Integer(16), Symbol('s2'))", 224, "b"},
                             {"Symbol('s1', integer=True)", 5, "a"},
                             {"Mul(Symbol('s1'), Symbol('s2'))", 70, "c"}});
  ASSERT_TRUE(values.ok()) << values.status().message();
  EXPECT_THAT(values.value(), ElementsAre(Pair("s1", 5), Pair("s2", 14)));
}

TEST(Solve, ASymbolAloneComesBeforeWhatIsComputedFromIt) {
  // 7 and 8 both have the half 4.
  const auto values = solve({{kHalf, 4, "half"}, {"Symbol('s1')", 8, "whole"}});
  ASSERT_TRUE(values.ok()) << values.status().message();
  EXPECT_THAT(values.value(), ElementsAre(Pair("s1", 8)));
}

TEST(Solve, ZeroAndLargeSizes) {
  EXPECT_THAT(solve({{"Symbol('s1')", 0, "a"}}).value(), ElementsAre(Pair("s1", 0)));
  EXPECT_THAT(solve({{"Mul(Integer(3), Symbol('s1'))", 3'000'000'003, "a"}}).value(),
              ElementsAre(Pair("s1", 1'000'000'001)));
}

TEST(Solve, AnyFactorsOfAProductThatStandsAlone) {
  const auto values = solve({{"Mul(Symbol('s1'), Symbol('s2'))", 74, "rows"}});
  ASSERT_TRUE(values.ok()) << values.status().message();
  EXPECT_EQ(values.value().at("s1") * values.value().at("s2"), 74);
}

TEST(Solve, WhatHasNoSolutionIsNamed) {
  const auto odd = solve({{"Mul(Integer(16), Symbol('s1'))", 100, "dimension 2 of input 'x'"}});
  EXPECT_EQ(odd.status().code(), Code::InvalidArgument);
  EXPECT_THAT(odd.status().message(), HasSubstr("dimension 2 of input 'x' is 100"));
  EXPECT_FALSE(solve({{"Symbol('s1')", 3, "a"}, {"Symbol('s1')", 4, "b"}}).ok());
  EXPECT_FALSE(solve({{"Symbol('s1')", -1, "a"}}).ok());
  EXPECT_FALSE(solve({{"Tan(Symbol('s1'))", 1, "a"}}).ok());
  EXPECT_FALSE(solve({{"Add(Integer(5), Symbol('s1'))", 4, "a"}}).ok());
}

}  // namespace
}  // namespace enn

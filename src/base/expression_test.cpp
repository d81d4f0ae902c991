#include "base/expression.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace enn {
namespace {

using testing::ElementsAre;

std::optional<std::int64_t> evaluate(std::string_view expression) {
  return evaluate_expression(expression, [](std::string_view symbol) {
    return symbol == "s1" ? std::optional<std::int64_t>(7) : std::nullopt;
  });
}

TEST(Expression, ValuesAreThoseOfPython) {
  const std::vector<std::pair<std::string_view, std::int64_t>> cases{
      {"Integer(-3)", -3},
      {"Symbol('s1', positive=True, integer=True)", 7},
      {"Add(Mul(Integer(-1), Symbol('s1')), Integer(10), Integer(1))", 4},
      {"Pow(Symbol('s1', integer=True), Integer(3))", 343},
      {"FloorDiv(Add(Symbol('s1'), Integer(-1)), Integer(-4))", -2},  // 6 // -4
      {"Mod(Integer(-7), Integer(4))", 1},
      {"CleanDiv(Integer(14), Symbol('s1'))", 2},
      {"Max(Integer(1), Min(Symbol('s1'), Integer(5)))", 5},
      {"TruncToInt(Mul(Float('0.5', precision=53), ToFloat(Symbol('s1', integer=True))))", 3},
      {"TruncToInt(Mul(Float('-0.5', precision=53), ToFloat(Symbol('s1'))))", -3},
      {"FloorToInt(IntTrueDiv(Mul(Integer(-1), Symbol('s1')), Integer(2)))", -4},
      {"Add(CeilToInt(Mul(Float('1.3', precision=53), Symbol('s1'))), Integer(1))", 11}};
  for (const auto& [expression, value] : cases)
    EXPECT_EQ(evaluate(expression), value) << expression;
}

TEST(Expression, WhatCannotBeReadOrComputedHasNoValue) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "Add(";
  for (const std::string& expression :
       std::vector<std::string>{"",
                                "s1",
                                "Symbol('s2')",
                                "Symbol('s1'",
                                "-Symbol('s1')",
                                "Integer(1) ",
                                "Integer(1))",
                                "Add(Integer(1)",
                                "Add()",
                                "FloorDiv(Integer(1))",
                                "Pow(Integer(2), Integer(-1))",
                                "Integer(9223372036854775808)",
                                "FloorDiv(Symbol('s1'), Integer(0))",
                                "CleanDiv(Symbol('s1'), Integer(2))",
                                "Pow(Integer(10), Integer(30))",
                                "Mul(Integer(9223372036854775807), Integer(2))",
                                "Rational(1, 2)",
                                deep,
                                "TruncToInt(" + deep,
                                "Float('0.5', precision=53)",
                                "ToFloat(Symbol('s1'))",
                                "TruncToInt(Float('x', precision=53))",
                                "TruncToInt(Float('0.5', precision=53)",
                                "TruncToInt(Float('1e300', precision=53))",
                                "TruncToInt(Float('nan', precision=53))",
                                "TruncToInt(IntTrueDiv(Integer(1), Integer(0)))"}) {
    EXPECT_EQ(evaluate(expression), std::nullopt) << expression.substr(0, 80);
  }
}

TEST(Expression, SymbolsAreFoundBelowFunctionsThatAreKnown) {
  EXPECT_THAT(*symbols_of("Add(Symbol('s7', integer=True), Mul(Integer(2), Symbol('s1')))"),
              ElementsAre("s1", "s7"));
  EXPECT_THAT(*symbols_of("Integer(4)"), ElementsAre());
  EXPECT_EQ(symbols_of("FloatPow(Symbol('s1'), Integer(2))"), std::nullopt);
  EXPECT_EQ(symbols_of("Symbol(s1)"), std::nullopt);
}

}  // namespace
}  // namespace enn

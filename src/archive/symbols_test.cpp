#include "archive/symbols.hpp"

#include <gmock/gmock.h>

namespace enn {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSymbols = R"json({
  "range_constraints": {"s1": {"min_val": 2, "max_val": 16}, "s2": {"min_val": 0, "max_val": null}},
  "graph_module": {"graph": {"sym_int_values": {
    "n": {"as_expr": {"expr_str": "Mul(Integer(2), Symbol('s1', integer=True))", "hint": null}},
    "u": {"as_expr": {"expr_str": "Symbol('u0', integer=True)", "hint": null}}}}}})json";

class SymbolsTest : public ::testing::Test {
 protected:
  Result<Symbols> read(std::int64_t dynamic_size) {
    const auto failure = parser_.parse(simdjson::padded_string(kSymbols)).get(root_);
    EXPECT_EQ(failure, simdjson::SUCCESS);
    ExportOptions options;
    options.dynamic_size = dynamic_size;
    return Symbols::read(root_, options);
  }

  simdjson::dom::parser parser_;
  json::Element root_;
};

TEST_F(SymbolsTest, TheSmallestSizeOfTheRangeOrTheOneAskedFor) {
  const auto smallest = read(0);
  ASSERT_TRUE(smallest.ok());
  EXPECT_EQ(smallest.value().find("s1"), 2);
  EXPECT_EQ(smallest.value().find("s2"), 1);
  const auto asked = read(7);
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(asked.value().find("s1"), 7);
  EXPECT_EQ(asked.value().find("s2"), 7);
  EXPECT_THAT(read(17).status().message(), HasSubstr("outside the range [2, 16]"));
  EXPECT_THAT(read(-1).status().message(), HasSubstr("negative"));
}

TEST_F(SymbolsTest, ExpressionsAreComputedFromTheSizes) {
  const auto symbols = read(7);
  ASSERT_TRUE(symbols.ok());
  EXPECT_EQ(symbols.value().evaluate("Mul(Symbol('s1', integer=True), Integer(2))").value(), 14);
  const Status unknown = symbols.value().evaluate("Symbol('u0')").status();
  EXPECT_EQ(unknown.code(), Code::Unsupported);
  EXPECT_THAT(unknown.message(), HasSubstr("'Symbol('u0')' is no integer"));
}

TEST_F(SymbolsTest, NamedIntegersAreComputedFromShapes) {
  const auto symbols = read(0);
  ASSERT_TRUE(symbols.ok());
  simdjson::dom::parser parser;
  const auto argument = [&](std::string_view text) {
    return symbols.value().argument(parser.parse(simdjson::padded_string(text)).value_unsafe());
  };
  EXPECT_EQ(argument(R"({"as_name": "n"})").value(), 4);
  EXPECT_EQ(argument(R"({"as_int": 9})").value(), 9);
  EXPECT_THAT(argument(R"({"as_name": "u"})").status().message(),
              HasSubstr("depends on the value of a tensor ('u')"));
}

}  // namespace
}  // namespace enn

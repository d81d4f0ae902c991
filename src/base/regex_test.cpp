#include "base/regex.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace enn {
namespace {

bool matches(std::string_view expression, std::string_view text) {
  auto regex = Regex::compile(expression);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  return regex.ok() && regex.value().matches(text);
}

// The standard library's decides on short texts.
TEST(Regex, MatchesAsStandardLibraryDoes) {
  const char* const expressions[] = {
      "",       "a",       "ab",       "a|b",   "a*",     "a+b?",        "(a|b)*c",
      "(ab)+",  "a(b|)c",  "[a-c]+",   "[^a]b", "\\d\\w", "a.c",         "(a|ab)(c|bcd)*",
      "(?:a)?", "a||b",    "[\\d_]+",  "\\.",   "a\\*b",  "^ab$",        "((a*)*)*b",
      "[a\\-]", "[^\\w]*", "x|(y|z)+", "[]a]+", "[a-]+",  "(a|b|c)d?e*", "()",
  };
  const char* const texts[] = {"",      "a",   "b",   "c",   "ab", "abc",  "aab", "aabb", "abab",
                               "ac",    "0a",  "00",  "a.c", ".",  "a*b",  "-",   "a-",   "abcd",
                               "acbcd", "_1_", "xyz", "zyz", "cd", "cdee", "]a",  "  ",   "bb"};
  for (const char* const expression : expressions) {
    // POSIX's "[]a]" is no class of ECMAScript.
    if (std::string_view(expression) == "[]a]+") continue;
    const std::regex expected(expression);
    for (const char* const text : texts) {
      EXPECT_EQ(matches(expression, text), std::regex_match(text, expected))
          << "'" << expression << "' and '" << text << "'";
    }
  }
  EXPECT_TRUE(matches("[]a]+", "]a"));
  EXPECT_TRUE(matches(R"(layers\.\d+\.conv)", "layers.12.conv"));
  EXPECT_FALSE(matches(R"(layers\.\d+\.conv)", "layers.12.conv1"));
}

TEST(Regex, TakesTimeProportionalToText) {
  const std::string text(20000, 'a');
  EXPECT_FALSE(matches("(a*)*(a|aa)+(a*a*)*b", text));
  EXPECT_TRUE(matches("(a?)*" + std::string(400, 'a'), std::string(800, 'a')));
}

TEST(Regex, SaysWhatIsWrong) {
  const auto message = [](std::string_view expression) {
    return Regex::compile(expression).status().message();
  };
  EXPECT_EQ(message("a("),
            "the regular expression 'a(' is wrong at character 3: a '(' is not "
            "closed");
  EXPECT_EQ(message("a)"),
            "the regular expression 'a)' is wrong at character 2: there is no '(' "
            "for this ')'");
  EXPECT_EQ(message("|*"),
            "the regular expression '|*' is wrong at character 2: there is nothing "
            "to repeat");
  EXPECT_FALSE(Regex::compile("[a").ok());
  EXPECT_FALSE(Regex::compile("a{2}").ok());
  EXPECT_FALSE(Regex::compile("a\\").ok());
  EXPECT_FALSE(Regex::compile("\\bend").ok());
  EXPECT_FALSE(Regex::compile("[z-a]").ok());
  EXPECT_FALSE(Regex::compile("a$b").ok());
  EXPECT_FALSE(Regex::compile(std::string(2000, 'a')).ok());
  EXPECT_TRUE(check_pattern("(").ok());
  EXPECT_FALSE(check_pattern("re:(").ok());
}

}  // namespace
}  // namespace enn

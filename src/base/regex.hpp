// Regular expressions that are matched in time proportional to the text, whatever the expression.
#pragma once

#include <bitset>
#include <cstddef>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// Characters and '.', classes "[a-z]" and "[^0-9]", \d \w \s and escaped characters, groups,
// alternatives, '*', '+' and '?'. There are no counts "{2,3}", back references or assertions.
class Regex {
 public:
  // The error says what is wrong, and where.
  [[nodiscard]] static Result<Regex> compile(std::string_view expression);

  // Whether the expression describes the whole text.
  [[nodiscard]] bool matches(std::string_view text) const;

 private:
  friend class RegexParser;
  // Takes one of the characters and goes on to `next`; with no characters it goes on to `next` and
  // `other` without taking any.
  struct State {
    std::bitset<256> characters;
    std::size_t next = 0;
    std::size_t other = 0;
    bool takes = false;
  };

  void add(std::size_t state, std::vector<bool>& reached, std::vector<std::size_t>& states) const;

  std::vector<State> states_;
  std::size_t start_ = 0;
  std::size_t end_ = 0;
};

// A pattern of names is a regular expression after "re:", otherwise a text in which '*' stands for
// any text and '?' for any character.
inline constexpr std::string_view kRegexPrefix = "re:";
// Whether the pattern can be understood.
[[nodiscard]] Status check_pattern(std::string_view pattern);

}  // namespace enn

#include "base/regex.hpp"

#include <optional>
#include <string>
#include <utility>

#include "base/printable.hpp"

namespace enn {

namespace {

constexpr std::size_t kMaxLength = 1000;
constexpr std::size_t kNone = SIZE_MAX;

using Characters = std::bitset<256>;

Characters range(unsigned char first, unsigned char last) {
  Characters out;
  for (std::size_t c = first; c <= last; ++c) out.set(c);
  return out;
}

// The characters that an escape stands for; those of \D, \W and \S are all others.
Characters escaped(char c) {
  switch (c) {
    case 'd':
    case 'D':
      return c == 'd' ? range('0', '9') : ~range('0', '9');
    case 'w':
    case 'W': {
      const Characters word = range('0', '9') | range('a', 'z') | range('A', 'Z') | range('_', '_');
      return c == 'w' ? word : ~word;
    }
    case 's':
    case 'S': {
      const Characters space = range('\t', '\r') | range(' ', ' ');
      return c == 's' ? space : ~space;
    }
    default:
      return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  }
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

// Operators wait on a stack until their operands are complete; the parts of the automaton that are
// complete lie on another.
class RegexParser {
 public:
  explicit RegexParser(std::string_view text) : text_(text) {}

  Result<Regex> parse() {
    while (at_ < text_.size()) ENN_TRY(token());
    end_operand();
    while (!operators_.empty()) {
      if (operators_.back() == '(') return wrong("a '(' is not closed");
      apply();
    }
    regex_.start_ = parts_.back().start;
    regex_.end_ = parts_.back().end;
    return std::move(regex_);
  }

 private:
  // `end` goes on to nothing yet.
  struct Part {
    std::size_t start = 0;
    std::size_t end = 0;
  };

  Status wrong(std::string_view what) const {
    return error(Code::InvalidArgument, "the regular expression '", printable_text(text_),
                 "' is wrong at character ", at_ + 1, ": ", what);
  }

  std::size_t add_state(std::size_t next = kNone, std::size_t other = kNone) {
    regex_.states_.push_back({{}, next, other, false});
    return regex_.states_.size() - 1;
  }

  void add_characters(const Characters& characters) {
    begin_operand();
    const std::size_t end = add_state();
    regex_.states_.push_back({characters, end, kNone, true});
    parts_.push_back({regex_.states_.size() - 1, end});
    complete_ = true;
  }

  // What follows an operand without an operator between is joined to it.
  void begin_operand() {
    if (!complete_) return;
    while (!operators_.empty() && operators_.back() == '.') apply();
    operators_.push_back('.');
    complete_ = false;
  }

  // An operand may be empty: "a|", "()".
  void end_operand() {
    if (complete_) return;
    const std::size_t state = add_state();
    parts_.push_back({state, state});
    complete_ = true;
  }

  // Of the operator on top: '.' joins, '|' chooses.
  void apply() {
    const char op = operators_.back();
    operators_.pop_back();
    const Part second = parts_.back();
    parts_.pop_back();
    Part& first = parts_.back();
    if (op == '.') {
      regex_.states_[first.end].next = second.start;
      first.end = second.end;
      return;
    }
    const std::size_t end = add_state();
    const std::size_t start = add_state(first.start, second.start);
    regex_.states_[first.end].next = end;
    regex_.states_[second.end].next = end;
    first = {start, end};
  }

  void repeat(char op) {
    Part& part = parts_.back();
    const std::size_t end = add_state();
    const std::size_t choice = add_state(part.start, end);
    regex_.states_[part.end].next = op == '?' ? end : choice;
    part = {op == '+' ? part.start : choice, end};
  }

  Status token() {
    const char c = text_[at_];
    switch (c) {
      case '(':
        begin_operand();
        operators_.push_back('(');
        if (text_.substr(at_).starts_with("(?:")) at_ += 2;
        break;
      case ')':
        end_operand();
        while (!operators_.empty() && operators_.back() != '(') apply();
        if (operators_.empty()) return wrong("there is no '(' for this ')'");
        operators_.pop_back();
        break;
      case '|':
        end_operand();
        while (!operators_.empty() && operators_.back() != '(') apply();
        operators_.push_back('|');
        complete_ = false;
        break;
      case '*':
      case '+':
      case '?':
        if (!complete_) return wrong("there is nothing to repeat");
        repeat(c);
        break;
      case '{':
      case '}':
        return wrong("counts of repetitions are not supported; '\\{' is the character");
      case '^':
      case '$':
        if (at_ != (c == '^' ? 0 : text_.size() - 1)) {
          return wrong("'^' and '$' stand at the beginning and the end alone");
        }
        break;  // the whole name is compared
      case '[': {
        ENN_ASSIGN(const Characters characters, character_class());
        add_characters(characters);
        break;
      }
      case '\\': {
        ENN_ASSIGN(const Characters characters, escape());
        add_characters(characters);
        break;
      }
      case '.':
        add_characters(~Characters());
        break;
      default:
        add_characters(escaped_literal(c));
    }
    ++at_;
    return {};
  }

  static Characters escaped_literal(char c) {
    return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  }

  // At a backslash; leaves the place at the last character of the escape.
  Result<Characters> escape() {
    if (at_ + 1 == text_.size()) return wrong("nothing follows the '\\'");
    const char c = text_[++at_];
    if (is_letter_or_digit(c) && std::string_view("dwsDWS").find(c) == std::string_view::npos) {
      return wrong("this escape is not known");
    }
    return escaped(c);
  }

  // At a '['; leaves the place at its ']'.
  Result<Characters> character_class() {
    ++at_;
    const bool inverted = at_ < text_.size() && text_[at_] == '^';
    if (inverted) ++at_;
    Characters out;
    const std::size_t first = at_;
    while (at_ < text_.size() && (text_[at_] != ']' || at_ == first)) {
      if (text_[at_] == '\\') {
        ENN_ASSIGN(const Characters characters, escape());
        out |= characters;
        ++at_;
        continue;
      }
      const auto low = static_cast<unsigned char>(text_[at_]);
      auto high = low;
      if (at_ + 2 < text_.size() && text_[at_ + 1] == '-' && text_[at_ + 2] != ']') {
        at_ += 2;
        high = static_cast<unsigned char>(text_[at_]);
        if (high < low) return wrong("this range ends before it begins");
      }
      out |= range(low, high);
      ++at_;
    }
    if (at_ >= text_.size()) return wrong("a '[' is not closed");
    return inverted ? ~out : out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool complete_ = false;  // an operand has just ended
  std::vector<char> operators_;
  std::vector<Part> parts_;
  Regex regex_;
};

Result<Regex> Regex::compile(std::string_view expression) {
  if (expression.size() > kMaxLength) {
    return error(Code::InvalidArgument, "a regular expression is longer than ", kMaxLength,
                 " characters");
  }
  return RegexParser(expression).parse();
}

void Regex::add(std::size_t state, std::vector<bool>& reached,
                std::vector<std::size_t>& states) const {
  std::vector<std::size_t> open{state};
  while (!open.empty()) {
    const std::size_t next = open.back();
    open.pop_back();
    if (next == kNone || reached[next]) continue;
    reached[next] = true;
    states.push_back(next);
    if (states_[next].takes) continue;
    open.push_back(states_[next].next);
    open.push_back(states_[next].other);
  }
}

bool Regex::matches(std::string_view text) const {
  std::vector<bool> reached(states_.size());
  std::vector<std::size_t> states;
  add(start_, reached, states);
  for (const char c : text) {
    std::vector<std::size_t> before = std::move(states);
    states.clear();
    reached.assign(states_.size(), false);
    for (const std::size_t state : before) {
      const State& from = states_[state];
      if (from.takes && from.characters.test(static_cast<unsigned char>(c))) {
        add(from.next, reached, states);
      }
    }
    if (states.empty()) return false;
  }
  return reached[end_];
}

Status check_pattern(std::string_view pattern) {
  if (!pattern.starts_with(kRegexPrefix)) return {};
  return Regex::compile(pattern.substr(kRegexPrefix.size())).status();
}

}  // namespace enn

#include "base/expression.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <vector>

namespace enn {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr int kDeepest = 64;

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Division and remainder as Python's: rounded down. Nothing when there is no result.
std::optional<std::int64_t> floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0 || (b == -1 && a == std::numeric_limits<std::int64_t>::min())) return std::nullopt;
  const std::int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::optional<std::int64_t> floor_remainder(std::int64_t a, std::int64_t b) {
  const auto quotient = floor_divide(a, b);
  if (!quotient) return std::nullopt;
  return a - *quotient * b;
}

std::optional<std::int64_t> multiply(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

std::optional<std::int64_t> power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0 || exponent > 63) return std::nullopt;
  std::optional<std::int64_t> out = 1;
  for (; exponent > 0 && out; --exponent) out = multiply(*out, base);
  return out;
}

// The product of all or, with `sum`, their sum.
std::optional<std::int64_t> combine(const std::vector<std::int64_t>& of, bool sum) {
  std::optional<std::int64_t> out = sum ? 0 : 1;
  for (const std::int64_t item : of) {
    std::int64_t next = 0;
    const bool overflow =
        sum ? __builtin_add_overflow(*out, item, &next) : __builtin_mul_overflow(*out, item, &next);
    if (overflow) return std::nullopt;
    out = next;
  }
  return out;
}

using Value = std::optional<std::int64_t>;
using Values = std::vector<std::int64_t>;

// A function of integers. `arity` 0 stands for one operand or more.
struct Function {
  std::string_view name;
  std::size_t arity;
  Value (*compute)(const Values& of);
};

Value compute_floor_divide(const Values& of) { return floor_divide(of[0], of[1]); }
Value compute_remainder(const Values& of) { return floor_remainder(of[0], of[1]); }
Value compute_power(const Values& of) { return power(of[0], of[1]); }

// A division without a remainder.
Value compute_clean_divide(const Values& of) {
  return floor_remainder(of[0], of[1]) == 0 ? floor_divide(of[0], of[1]) : std::nullopt;
}

constexpr std::array kFunctions{
    Function{"Integer", 1, [](const Values& of) -> Value { return of[0]; }},
    Function{"Identity", 1, [](const Values& of) -> Value { return of[0]; }},
    Function{"Add", 0, [](const Values& of) { return combine(of, true); }},
    Function{"Mul", 0, [](const Values& of) { return combine(of, false); }},
    Function{"Max", 0, [](const Values& of) -> Value { return *std::ranges::max_element(of); }},
    Function{"Min", 0, [](const Values& of) -> Value { return *std::ranges::min_element(of); }},
    Function{"FloorDiv", 2, &compute_floor_divide},
    Function{"CleanDiv", 2, &compute_clean_divide},
    Function{"Mod", 2, &compute_remainder},
    Function{"PythonMod", 2, &compute_remainder},
    Function{"Pow", 2, &compute_power},
    Function{"PowByNatural", 2, &compute_power},
};

const Function* find_function(std::string_view name) {
  const auto* const found = std::ranges::find(kFunctions, name, &Function::name);
  return found == kFunctions.end() ? nullptr : found;
}

// From a real number to an integer.
struct Rounding {
  std::string_view name;
  double (*compute)(double);
};

constexpr std::array kRoundings{
    Rounding{"TruncToInt", [](double x) { return std::trunc(x); }},
    Rounding{"FloorToInt", [](double x) { return std::floor(x); }},
    Rounding{"CeilToInt", [](double x) { return std::ceil(x); }},
};

const Rounding* find_rounding(std::string_view name) {
  const auto* const found = std::ranges::find(kRoundings, name, &Rounding::name);
  return found == kRoundings.end() ? nullptr : found;
}

// What stands below a rounding: products, sums and quotients of real numbers.
constexpr std::array<std::string_view, 3> kReals{"Float", "ToFloat", "IntTrueDiv"};

bool is_known_function(std::string_view name) {
  return find_function(name) != nullptr || find_rounding(name) != nullptr ||
         std::ranges::find(kReals, name) != kReals.end();
}

// Calls within calls. Nothing stands for what cannot be read or computed.
class ExpressionReader {
 public:
  ExpressionReader(std::string_view text, const SymbolValue& value_of)
      : text_(text), value_of_(value_of) {}

  Value read() {
    const Value value = expression(0);
    return at_ == text_.size() ? value : std::nullopt;
  }

 private:
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Value expression(int depth) {
    if (depth > kDeepest) return std::nullopt;
    const bool negative = take("-");
    const std::string_view name = word();
    if (name.empty()) return std::nullopt;
    if (is_digit(name[0])) return number(name, negative);
    if (negative || !take("(")) return std::nullopt;
    if (name == "Symbol") return symbol();
    if (const Rounding* const rounding = find_rounding(name)) return rounded(*rounding, depth);
    Values operands;
    do {
      const Value operand = expression(depth + 1);
      if (!operand) return std::nullopt;
      operands.push_back(*operand);
    } while (take(", "));
    const Function* const function = take(")") ? find_function(name) : nullptr;
    if (function == nullptr || (function->arity > 0 && operands.size() != function->arity))
      return std::nullopt;
    return function->compute(operands);
  }

  Value rounded(const Rounding& rounding, int depth) {
    constexpr double kMostExact = 9007199254740992.0;  // 2^53
    const std::optional<double> operand = real(depth + 1);
    if (!operand || !take(")")) return std::nullopt;
    const double result = rounding.compute(*operand);
    if (!(std::abs(result) <= kMostExact)) return std::nullopt;
    return static_cast<std::int64_t>(result);
  }

  // In double, as Python computes it. An integer stands for itself.
  std::optional<double> real(int depth) {
    if (depth > kDeepest) return std::nullopt;
    const std::size_t begin = at_;
    const std::string_view name = word();
    const bool is_product = name == "Mul";
    if ((is_product || name == "Add") && take("(")) {
      double out = is_product ? 1.0 : 0.0;
      do {
        const std::optional<double> operand = real(depth + 1);
        if (!operand) return std::nullopt;
        out = is_product ? out * *operand : out + *operand;
      } while (take(", "));
      return take(")") ? std::optional(out) : std::nullopt;
    }
    if (name == "Float" && take("(")) return literal();
    if (name == "ToFloat" && take("(")) {
      const Value value = expression(depth + 1);
      if (!value || !take(")")) return std::nullopt;
      return static_cast<double>(*value);
    }
    if (name == "IntTrueDiv" && take("(")) {
      const Value a = expression(depth + 1);
      if (!a || !take(", ")) return std::nullopt;
      const Value b = expression(depth + 1);
      if (!b || *b == 0 || !take(")")) return std::nullopt;
      return static_cast<double>(*a) / static_cast<double>(*b);
    }
    at_ = begin;
    const Value value = expression(depth + 1);
    if (!value) return std::nullopt;
    return static_cast<double>(*value);
  }

  // "'0.5', precision=53)"
  std::optional<double> literal() {
    const std::optional<std::string_view> text = quoted();
    if (!text || !take_assumptions()) return std::nullopt;
    double out = 0;
    const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), out);
    if (failure != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return out;
  }

  // "'s77', positive=True, integer=True)"
  Value symbol() {
    const std::optional<std::string_view> name = quoted();
    if (!name || !take_assumptions()) return std::nullopt;
    return value_of_(*name);
  }

  std::optional<std::string_view> quoted() {
    if (!take("'")) return std::nullopt;
    const std::string_view rest = text_.substr(at_);
    const std::size_t size = rest.find('\'');
    if (size == std::string_view::npos) return std::nullopt;
    at_ += size + 1;
    return rest.substr(0, size);
  }

  // Of a symbol or a number, up to the end of the call.
  bool take_assumptions() {
    while (take(", ")) {
      word();
      if (!take("=")) return false;
      word();
    }
    return take(")");
  }

  static Value number(std::string_view digits, bool negative) {
    Value out = 0;
    for (const char digit : digits) {
      if (!is_digit(digit)) return std::nullopt;
      out = multiply(*out, 10);
      if (!out || *out > kLargest - (digit - '0')) return std::nullopt;
      *out += digit - '0';
    }
    return negative ? -*out : *out;
  }

  std::string_view text_;
  const SymbolValue& value_of_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<std::int64_t> evaluate_expression(std::string_view expression,
                                                const SymbolValue& value_of) {
  return ExpressionReader(expression, value_of).read();
}

std::optional<std::set<std::string, std::less<>>> symbols_of(std::string_view expression) {
  std::set<std::string, std::less<>> out;
  for (std::size_t at = expression.find('('); at != std::string_view::npos;
       at = expression.find('(', at + 1)) {
    std::size_t begin = at;
    while (begin > 0 && (is_letter(expression[begin - 1]) || is_digit(expression[begin - 1])))
      --begin;
    const std::string_view name = expression.substr(begin, at - begin);
    if (name != "Symbol") {
      if (!is_known_function(name)) return std::nullopt;
      continue;
    }
    const std::string_view rest = expression.substr(at + 1);
    const std::size_t end = rest.find('\'', 1);
    if (!rest.starts_with('\'') || end == std::string_view::npos) return std::nullopt;
    out.emplace(rest.substr(1, end - 1));
  }
  return out;
}

}  // namespace enn

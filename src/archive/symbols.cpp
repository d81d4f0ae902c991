#include "archive/symbols.hpp"

#include <algorithm>
#include <limits>
#include <optional>
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

std::optional<std::int64_t> result_of(std::string_view function,
                                      const std::vector<std::int64_t>& of) {
  if (of.empty()) return std::nullopt;
  if (function == "Add") return combine(of, true);
  if (function == "Mul") return combine(of, false);
  if (function == "Max") return *std::max_element(of.begin(), of.end());
  if (function == "Min") return *std::min_element(of.begin(), of.end());
  if (of.size() == 1 && (function == "Integer" || function == "Identity")) return of[0];
  if (of.size() != 2) return std::nullopt;
  if (function == "FloorDiv") return floor_divide(of[0], of[1]);
  if (function == "Mod" || function == "PythonMod") return floor_remainder(of[0], of[1]);
  if (function == "Pow" || function == "PowByNatural") return power(of[0], of[1]);
  if (function == "CleanDiv") {
    return floor_remainder(of[0], of[1]) == 0 ? floor_divide(of[0], of[1]) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

// Calls within calls, as sympy's srepr writes them: "Mul(Integer(2), Symbol('s77', integer=True))".
// Nothing stands for what cannot be read or computed.
class ExpressionReader {
 public:
  ExpressionReader(std::string_view text, const Symbols& symbols)
      : text_(text), symbols_(symbols) {}

  std::optional<std::int64_t> read() {
    const auto value = expression(0);
    return at_ == text_.size() ? value : std::nullopt;
  }

 private:
  using Value = std::optional<std::int64_t>;

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
    const std::string_view function = word();
    if (function.empty()) return std::nullopt;
    if (is_digit(function[0])) return number(function, negative);
    if (negative || !take("(")) return std::nullopt;
    if (function == "Symbol") return symbol();
    std::vector<std::int64_t> arguments;
    do {
      const Value argument = expression(depth + 1);
      if (!argument) return std::nullopt;
      arguments.push_back(*argument);
    } while (take(", "));
    return take(")") ? result_of(function, arguments) : std::nullopt;
  }

  // The name, then assumptions such as "integer=True".
  Value symbol() {
    if (!take("'")) return std::nullopt;
    const std::string_view name = word();
    if (!take("'")) return std::nullopt;
    while (take(", ")) {
      word();
      if (!take("=")) return std::nullopt;
      word();
    }
    if (!take(")")) return std::nullopt;
    return symbols_.find(name);
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
  const Symbols& symbols_;
  std::size_t at_ = 0;
};

Result<Symbols> Symbols::read(const json::Element& model, const ExportOptions& options) {
  if (options.dynamic_size < 0) {
    return error(Code::InvalidArgument, "the size of dynamic dimensions is negative");
  }
  Symbols out;
  out.dynamic_size_ = options.dynamic_size;
  simdjson::dom::object ranges;
  if (model.at_key("range_constraints").get(ranges) == simdjson::SUCCESS) {
    for (const auto& [name, range] : ranges) ENN_TRY(out.add_range(name, range));
  }
  simdjson::dom::object integers;
  if (model.at_key("graph_module").at_key("graph").at_key("sym_int_values").get(integers) ==
      simdjson::SUCCESS) {
    for (const auto& [name, value] : integers) {
      // An integer that depends on data has no size here; who needs it says so.
      auto size = out.size(value);
      if (size.ok()) out.names_.emplace(name, size.value());
    }
  }
  return out;
}

Status Symbols::add_range(std::string_view name, const json::Element& range) {
  std::int64_t least = 0;
  std::int64_t most = kLargest;
  // Absent or null: without a limit.
  if (range.at_key("min_val").get(least) != simdjson::SUCCESS) least = 0;
  if (range.at_key("max_val").get(most) != simdjson::SUCCESS) most = kLargest;
  const std::int64_t size = dynamic_size_ > 0 ? dynamic_size_ : std::max<std::int64_t>(least, 1);
  if (size < least || size > most) {
    return error(Code::InvalidArgument, "the dynamic size ", size, " is outside the range [", least,
                 ", ", most, "] of the archive's symbol '", printable_text(name), "'");
  }
  symbols_.emplace(name, size);
  return {};
}

std::optional<std::int64_t> Symbols::find(std::string_view symbol) const {
  const auto found = symbols_.find(symbol);
  if (found == symbols_.end()) return std::nullopt;
  return found->second;
}

Result<std::int64_t> Symbols::evaluate(std::string_view expression) const {
  const auto value = ExpressionReader(expression, *this).read();
  if (value) return *value;
  return error(Code::Unsupported, "the size '", printable_text(expression),
               "' is no integer that this engine can compute from the dynamic dimensions");
}

Result<std::int64_t> Symbols::size(const json::Element& element) const {
  ENN_ASSIGN(const auto item, json::only_member(element, "size"));
  if (item.first == "as_int") return json::integer(item.second, "size");
  if (item.first != "as_expr") return json::wrong(item.first, "size");
  ENN_ASSIGN(const json::Element expression_json, json::member(item.second, "expr_str"));
  ENN_ASSIGN(const std::string_view expression, json::text(expression_json, "expr_str"));
  return evaluate(expression);
}

Result<std::int64_t> Symbols::argument(const json::Element& element) const {
  ENN_ASSIGN(const auto item, json::only_member(element, "as_sym_int"));
  if (item.first == "as_int") return json::integer(item.second, "as_int");
  ENN_ASSIGN(const std::string_view name, json::text(item.second, "as_name"));
  const auto found = names_.find(name);
  if (found != names_.end()) return found->second;
  return error(Code::Unsupported, "it depends on the value of a tensor ('", printable_text(name),
               "'); only shapes that follow from those of the inputs are supported");
}

}  // namespace enn

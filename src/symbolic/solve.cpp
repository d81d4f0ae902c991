#include "symbolic/solve.hpp"

#include <algorithm>
#include <set>

#include "base/expression.hpp"

namespace enn {
namespace {

constexpr std::int64_t kLargestSymbol = std::int64_t{1} << 40;

class Solver {
 public:
  Result<SymbolValues> solve(const std::vector<Equation>& equations) {
    for (const Equation& equation : equations) {
      auto symbols = symbols_of(equation.expression);
      if (!symbols) return no_solution(equation);
      open_.push_back({&equation, std::move(*symbols)});
    }
    while (!open_.empty()) {
      forget_known();
      // Of those with the fewest unknown symbols the shortest: a symbol alone before what is
      // computed from it.
      const auto next = std::ranges::min_element(open_, {}, [](const Open& open) {
        return std::pair(open.unknown.size(), open.equation->expression.size());
      });
      const Open chosen = std::move(*next);
      open_.erase(next);
      ENN_TRY(take(chosen));
    }
    for (const Equation& equation : equations) {
      if (evaluate(equation.expression, values_) != equation.value) return no_solution(equation);
    }
    return std::move(values_);
  }

 private:
  struct Open {
    const Equation* equation;
    std::set<std::string, std::less<>> unknown;
  };

  void forget_known() {
    for (Open& open : open_) {
      std::erase_if(open.unknown, [&](const std::string& s) { return values_.contains(s); });
    }
  }

  Status take(const Open& open) {
    if (open.unknown.empty()) return {};  // checked at the end
    const std::string& last = *open.unknown.rbegin();
    for (const std::string& symbol : open.unknown) {
      if (symbol != last) values_[symbol] = 1;
    }
    const auto value = smallest(*open.equation, last);
    if (!value) return no_solution(*open.equation);
    values_[last] = *value;
    return {};
  }

  // The smallest value of the symbol with which the expression, which grows with it, is as large as
  // it should be.
  std::optional<std::int64_t> smallest(const Equation& equation, const std::string& symbol) {
    const auto reaches = [&](std::int64_t candidate) {
      values_[symbol] = candidate;
      const auto value = evaluate(equation.expression, values_);
      return value && *value >= equation.value;
    };
    std::int64_t high = 1;
    while (!reaches(high)) {
      if (high >= kLargestSymbol) return std::nullopt;
      high *= 2;
    }
    std::int64_t low = high == 1 ? -1 : high / 2;  // does not reach it
    while (high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      (reaches(middle) ? high : low) = middle;
    }
    return high;
  }

  static Status no_solution(const Equation& equation) {
    return error(Code::InvalidArgument, equation.what, " is ", equation.value,
                 ", which is no size that the model was exported for");
  }

  std::vector<Open> open_;
  SymbolValues values_;
};

}  // namespace

std::optional<std::int64_t> evaluate(std::string_view expression, const SymbolValues& values) {
  return evaluate_expression(expression,
                             [&](std::string_view symbol) -> std::optional<std::int64_t> {
                               const auto found = values.find(symbol);
                               if (found == values.end()) return std::nullopt;
                               return found->second;
                             });
}

Result<SymbolValues> solve(const std::vector<Equation>& equations) {
  return Solver().solve(equations);
}

}  // namespace enn

// Values of symbols from what expressions over them have come to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn {

using SymbolValues = std::map<std::string, std::int64_t, std::less<>>;

// evaluate_expression (base/expression.hpp) with these values.
[[nodiscard]] std::optional<std::int64_t> evaluate(std::string_view expression,
                                                   const SymbolValues& values);

// `expression` has come to `value`. `what` names it in messages: "dimension 2 of input 'x'".
struct Equation {
  std::string expression;
  std::int64_t value = 0;
  std::string what;
};

// Values with which all equations hold. Symbols alone come first, then expressions in which one is
// left and which grow with it, as sizes do; where several symbols are left, one becomes 1.
// InvalidArgument names the equation for which none is found.
[[nodiscard]] Result<SymbolValues> solve(const std::vector<Equation>& equations);

}  // namespace enn

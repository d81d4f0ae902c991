// Integer expressions over symbols, as torch.export writes the sizes that only a run knows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace enn {

// The value of a symbol; nothing when it has none.
using SymbolValue = std::function<std::optional<std::int64_t>(std::string_view symbol)>;

// The value of an expression as sympy's srepr writes it, such as "Mul(Integer(2), Symbol('s77',
// positive=True, integer=True))". Nothing when it cannot be read or has no value in 64 bits.
[[nodiscard]] std::optional<std::int64_t> evaluate_expression(std::string_view expression,
                                                              const SymbolValue& value_of);

// The symbols of an expression; nothing when it holds a function that evaluate_expression does not
// know.
[[nodiscard]] std::optional<std::set<std::string, std::less<>>> symbols_of(
    std::string_view expression);

}  // namespace enn

// Symbolic dimensions: each symbol of an archive stands for one size, expressions are computed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "archive/json.hpp"
#include "enn/exported_program.hpp"

namespace enn {

class Symbols {
 public:
  // `model` is the archive's document.
  static Result<Symbols> read(const json::Element& model, const ExportOptions& options);

  // The value of an integer expression as sympy's srepr writes it, such as "Mul(Integer(2),
  // Symbol('s77', positive=True, integer=True))".
  [[nodiscard]] Result<std::int64_t> evaluate(std::string_view expression) const;

  // The size that a symbol stands for; nothing when the archive gives no range for it.
  [[nodiscard]] std::optional<std::int64_t> find(std::string_view symbol) const;

  // The value of a SymInt of the schema: an integer or an expression.
  [[nodiscard]] Result<std::int64_t> size(const json::Element& element) const;
  // The value of a SymIntArgument: an integer or the name of an integer that the graph computes.
  [[nodiscard]] Result<std::int64_t> argument(const json::Element& element) const;

 private:
  [[nodiscard]] Status add_range(std::string_view name, const json::Element& range);

  std::int64_t dynamic_size_ = 0;
  std::map<std::string, std::int64_t, std::less<>> symbols_;
  std::map<std::string, std::int64_t, std::less<>> names_;
};

}  // namespace enn

// What a stage decided about a graph, row by row, for people and for programs.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace enn {

// Named facts in the order in which they are shown, e.g. ("dtype", "int8").
using Facts = std::vector<std::pair<std::string, std::string>>;

struct Explanation {
  std::string kind{};           // "input", "constant", "node" or "part" (one result of several)
  std::string name{};           // of the node or value
  std::string operator_name{};  // the overload it was imported from; empty for values
  std::string source{};         // file:line of the eager model, or empty
  std::string module_path{};    // of the eager model's module that computes it, or empty
  std::string decision{};       // one or two words, e.g. "quantized", "in float", "delegated"
  std::vector<std::pair<std::string, Facts>> operands{};  // by the operand's name
  Facts result{};                                         // how the result is quantized
  Facts details{};       // what else is known, e.g. ("partition", "0")
  std::string reason{};  // why it was not taken or quantized; empty where it was
  std::string advice{};  // what would help; empty where nothing would or need be
};

// An array of objects, one a row, with the fields of Explanation; empty ones are left out.
// Printable ASCII.
[[nodiscard]] std::string to_json(std::span<const Explanation> rows);

// One line per row, in columns, with the reason and advice on lines of their own.
[[nodiscard]] std::string to_table(std::span<const Explanation> rows);

// The facts in one line: "int8, per_tensor_affine, MinMax".
[[nodiscard]] std::string in_one_line(const Facts& facts);

}  // namespace enn

#include "archive/symbols.hpp"

#include <algorithm>
#include <limits>

#include "base/expression.hpp"

namespace enn {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

}  // namespace

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
  if (const auto value = evaluate_expression(
          expression, [this](std::string_view symbol) { return find(symbol); })) {
    return *value;
  }
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

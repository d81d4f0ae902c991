#include "quantizer/json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace enn {

namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;

Status wrong(std::string_view name, std::string_view expected) {
  return error(Code::InvalidArgument, "'", name, "' is missing or not ", expected);
}

// Null when absent.
const json* member(const json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

Result<float> to_float(const json& value, std::string_view name) {
  if (!value.is_number()) return wrong(name, "a number");
  const auto number = static_cast<float>(value.get<double>());
  if (!std::isfinite(number)) return wrong(name, "a finite number");
  return number;
}

}  // namespace

Result<json> parse_object(std::string_view text, std::string_view what) {
  bool too_deep = false;
  const json::parser_callback_t callback = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json document = json::parse(text, callback, /*allow_exceptions=*/false);
  if (too_deep || document.is_discarded() || !document.is_object()) {
    return error(Code::InvalidArgument, what, " are no JSON object");
  }
  return document;
}

Result<float> float_from(const json& object, std::string_view name) {
  const json* value = member(object, name);
  if (value == nullptr) return wrong(name, "a number");
  return to_float(*value, name);
}

Result<std::vector<float>> floats_from(const json& object, std::string_view name) {
  const json* value = member(object, name);
  if (value == nullptr || !value->is_array()) return wrong(name, "a list of numbers");
  std::vector<float> numbers;
  numbers.reserve(value->size());
  for (const json& item : *value) {
    ENN_ASSIGN(const float number, to_float(item, name));
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::uint64_t> count_from(const json& object, std::string_view name) {
  const json* value = member(object, name);
  if (value == nullptr || !value->is_number_unsigned()) return wrong(name, "a count");
  return value->get<std::uint64_t>();
}

Result<std::string> string_from(const json& object, std::string_view name) {
  const json* value = member(object, name);
  if (value == nullptr || !value->is_string()) return wrong(name, "a text");
  return value->get<std::string>();
}

Status check_format(const json& document, std::string_view format, std::uint64_t version) {
  ENN_ASSIGN(const std::string actual, string_from(document, "format"));
  if (actual != format) {
    return error(Code::InvalidArgument, "the format is '", printable(actual), "', expected '",
                 format, "'");
  }
  ENN_ASSIGN(const std::uint64_t written, count_from(document, "version"));
  if (written != version) {
    return error(Code::InvalidArgument, "version ", written, " of ", format,
                 " is not known; this engine reads version ", version);
  }
  return {};
}

Status check_kind(const json& object, std::string_view kind) {
  ENN_ASSIGN(const std::string actual, string_from(object, "kind"));
  if (actual != kind) {
    return error(Code::InvalidArgument, "the observer is of the kind '", printable(actual),
                 "', expected '", kind, "'");
  }
  return {};
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  std::string shown;
  for (const char c : text.substr(0, kLongest)) shown += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > kLongest) shown += "...";
  return shown;
}

}  // namespace enn

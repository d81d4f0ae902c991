// Access to the members of JSON whose form a stranger chose.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "archive/zip.hpp"
#include "enn/result.hpp"

namespace enn::json {

using Element = simdjson::dom::element;

inline Status wrong(std::string_view what, std::string_view expected) {
  return error(Code::InvalidArgument, "the archive's JSON is not an exported program: '",
               printable_text(what), "' is no ", expected);
}

inline Result<Element> member(const Element& parent, std::string_view key) {
  Element found;
  if (parent.at_key(key).get(found) != simdjson::SUCCESS) {
    return error(Code::InvalidArgument, "the archive's JSON is not an exported program: '",
                 printable_text(key), "' is missing");
  }
  return found;
}

// `what` names the element in the message.
template <typename T>
Result<T> as(const Element& element, std::string_view what, std::string_view expected) {
  T value{};
  if (element.get(value) != simdjson::SUCCESS) return wrong(what, expected);
  return value;
}

inline Result<std::string_view> text(const Element& element, std::string_view what) {
  return as<std::string_view>(element, what, "text");
}
inline Result<std::int64_t> integer(const Element& element, std::string_view what) {
  return as<std::int64_t>(element, what, "integer");
}
inline Result<bool> boolean(const Element& element, std::string_view what) {
  return as<bool>(element, what, "truth value");
}
inline Result<simdjson::dom::array> array(const Element& element, std::string_view what) {
  return as<simdjson::dom::array>(element, what, "list");
}
inline Result<simdjson::dom::object> object(const Element& element, std::string_view what) {
  return as<simdjson::dom::object>(element, what, "object");
}

// The one member of an object that stands for a union.
inline Result<std::pair<std::string_view, Element>> only_member(const Element& element,
                                                                std::string_view what) {
  simdjson::dom::object members;
  if (element.get(members) != simdjson::SUCCESS) return wrong(what, "union");
  auto first = members.begin();
  if (!(first != members.end())) return wrong(what, "union");
  const std::pair<std::string_view, Element> result{first.key(), first.value()};
  ++first;
  if (first != members.end()) return wrong(what, "union");
  return result;
}

}  // namespace enn::json

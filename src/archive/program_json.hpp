// Parts of an archive's document, as torch's schema has them, for those who rewrite it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "enn/result.hpp"

namespace enn {

using Json = nlohmann::json;

constexpr std::int64_t kPositional = 1;  // of the schema's ArgumentKind
constexpr std::int64_t kKeyword = 2;

inline std::string& name_in(Json& tensor) { return tensor.at("name").get_ref<std::string&>(); }

// Calls `visit` with the name of each tensor in an argument, in order; it may change the name.
template <typename F>
void for_each_tensor(Json& argument, const F& visit) {
  if (argument.is_array()) {
    for (Json& item : argument) for_each_tensor(item, visit);
    return;
  }
  if (!argument.is_object()) return;
  for (const auto& [kind, value] : argument.items()) {
    if (kind == "as_tensor") {
      visit(name_in(value));
    } else if (kind == "as_tensors") {
      for (Json& item : value) visit(name_in(item));
    } else if (kind == "as_optional_tensors" || kind == "as_optional_tensor") {
      for_each_tensor(value, visit);
    }
  }
}

inline Json tensor_argument(const std::string& name) { return {{"as_tensor", {{"name", name}}}}; }

inline Json input(std::string_view name, Json argument, std::int64_t kind = kPositional) {
  return {{"name", name}, {"arg", std::move(argument)}, {"kind", kind}};
}

// A call with the other members and the metadata of `model`, or only what every call has.
inline Json call_like(const Json* model, std::string_view target, Json inputs,
                      const std::string& name) {
  Json node = model != nullptr ? *model : Json{{"metadata", Json::object()}};
  node["target"] = str("torch.ops.", target);
  node["inputs"] = std::move(inputs);
  node["outputs"] = Json::array({tensor_argument(name)});
  node["is_hop_single_tensor_return"] = nullptr;
  node["name"] = name;
  Json& metadata = node["metadata"];
  for (const char* key : {"from_node", "torch_fn", "source_fn_stack"}) {
    if (metadata.is_object()) metadata.erase(key);
  }
  return node;
}

// The document's text; what is not UTF-8 in it is replaced.
inline std::string dump(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace enn

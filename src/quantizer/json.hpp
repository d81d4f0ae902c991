// Reading JSON that others wrote: types are checked before anything is taken.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "enn/result.hpp"

namespace enn {

// `what` names the document in the message. Refuses what is no object, or nested deeper than any
// document of ours.
[[nodiscard]] Result<nlohmann::json> parse_object(std::string_view text, std::string_view what);

// A member of an object, of the type asked for. Numbers are finite, counts fit.
[[nodiscard]] Result<float> float_from(const nlohmann::json& object, std::string_view name);
[[nodiscard]] Result<std::vector<float>> floats_from(const nlohmann::json& object,
                                                     std::string_view name);
[[nodiscard]] Result<std::uint64_t> count_from(const nlohmann::json& object, std::string_view name);
[[nodiscard]] Result<std::string> string_from(const nlohmann::json& object, std::string_view name);

// Whether the document is of the format and version that we write.
[[nodiscard]] Status check_format(const nlohmann::json& document, std::string_view format,
                                  std::uint64_t version);
// Whether object["kind"] is `kind`; otherwise an error that says what it is.
[[nodiscard]] Status check_kind(const nlohmann::json& object, std::string_view kind);

// Printable ASCII for messages: others' bytes are escaped, long texts cut.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace enn

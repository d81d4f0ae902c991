// AIMET's encodings files: https://quic.github.io/aimet-pages, "Encoding Format Specification".
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "pt2e/encodings.hpp"

namespace enn {

// Whether a document is one of AIMET's.
[[nodiscard]] bool is_aimet(const nlohmann::json& document);

// The encodings of a document of version 0.4.0 to 0.6.1, 1.0.0 or 2.0.0. Before 2.0.0 the files do
// not tell int8 from uint8: zero points are given for int8. Encodings of 32 bits are passed over:
// they are of biases, which have their operands' scale. Not checked yet: scales and zero points.
[[nodiscard]] Result<std::map<std::string, GivenEncoding>> parse_aimet(
    const nlohmann::json& document);

// A document of version 1.0.0, which counts integers from 0: real = (q + offset) * scale, q in
// [0, 255]. Hence offset = -(zero_point + 128) for int8 and -zero_point for uint8.
[[nodiscard]] nlohmann::json aimet_document(std::span<const Encoding> encodings);

}  // namespace enn

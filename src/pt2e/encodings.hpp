// Scales, zero points and ranges of a model's tensors as JSON: ours, and AIMET's.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// The least and the greatest value that were observed.
using ObservedRange = std::pair<float, float>;

struct Encoding {
  std::string name;
  std::string qualified_name;  // a parameter's in its module, "conv.weight"; else `name`
  DType dtype = DType::Int8;
  QuantParams params;
  bool symmetric = false;
  bool parameter = false;  // a constant
  std::optional<ObservedRange> range{};
};

// Canonical: equal encodings are equal text.
[[nodiscard]] std::string encodings_json(std::span<const Encoding> encodings);

// AIMET's format 1.0.0.
[[nodiscard]] std::string aimet_json(std::span<const Encoding> encodings);

// What a document says of a tensor; zero points are those of `dtype`.
struct GivenEncoding {
  DType dtype = DType::Int8;
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
  std::optional<ObservedRange> range{};
};

// Reads our format and AIMET's (aimet.hpp). Trusts nothing: scales are positive and finite, zero
// points within the type.
[[nodiscard]] Result<std::map<std::string, GivenEncoding>> parse_encodings(std::string_view json);

// For the readers of the formats. Numbers alone or in a list, of the members of these names; int8
// or uint8 by name; the sentence that an encoding is wrong.
[[nodiscard]] Result<GivenEncoding> numbers_from(const nlohmann::json& object,
                                                 std::string_view name, std::string_view scales,
                                                 std::string_view zero_points);
[[nodiscard]] Result<DType> eight_bits_from(std::string_view dtype, std::string_view name);
[[nodiscard]] Status wrong_encoding(std::string_view name, std::string_view what);

}  // namespace enn

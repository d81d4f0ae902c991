// Scales, zero points and ranges of a model's tensors as JSON: ours, and AIMET's 1.0.0.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

struct Encoding {
  std::string name;
  DType dtype = DType::Int8;
  QuantParams params;
  bool symmetric = false;
  bool parameter = false;                          // a constant
  std::optional<std::pair<float, float>> range{};  // what was observed
};

// Canonical: equal encodings are equal text.
[[nodiscard]] std::string encodings_json(std::span<const Encoding> encodings);

// AIMET counts integers from 0: real = (q + offset) * scale, q in [0, 255]. Hence offset =
// -(zero_point + 128) for int8 and -zero_point for uint8.
[[nodiscard]] std::string aimet_json(std::span<const Encoding> encodings);

// What a document says of a tensor; zero points are those of `dtype`.
struct GivenEncoding {
  DType dtype = DType::Int8;
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
};

// Reads either format. Trusts nothing: scales are positive and finite, zero points within the type.
// Reading AIMET's, which does not tell int8 from uint8, zero points are given for int8.
[[nodiscard]] Result<std::map<std::string, GivenEncoding>> parse_encodings(std::string_view json);

}  // namespace enn

#include "pt2e/encodings.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "pt2e/aimet.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kFormat = "openenn.encodings";
constexpr std::uint64_t kVersion = 1;

std::string text_of(const Json& document) {
  return document.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

Status check(const std::string& name, const GivenEncoding& given) {
  if (given.scales.empty() || given.scales.size() != given.zero_points.size()) {
    return error(Code::InvalidArgument, "encoding of '", printable(name), "' has ",
                 given.scales.size(), " scales and ", given.zero_points.size(), " zero points");
  }
  const std::int32_t lowest = given.dtype == DType::Int8 ? -128 : 0;
  for (std::size_t i = 0; i < given.scales.size(); ++i) {
    if (!(given.scales[i] > 0)) {
      return error(Code::InvalidArgument, "encoding of '", printable(name), "' has the scale ",
                   given.scales[i], "; scales are positive");
    }
    if (given.zero_points[i] < lowest || given.zero_points[i] > lowest + 255) {
      return error(Code::InvalidArgument, "encoding of '", printable(name), "' has the zero point ",
                   given.zero_points[i], ", which ", to_string(given.dtype), " does not hold");
    }
  }
  return {};
}

// A number or a list of numbers, as a list.
std::vector<Json> as_list(const Json& object, std::string_view member) {
  const auto found = object.find(member);
  if (found == object.end()) return {};
  if (!found->is_array()) return {*found};
  return {found->begin(), found->end()};
}

Result<GivenEncoding> own_from(const Json& object, const std::string& name) {
  if (!object.is_object()) return wrong_encoding(name, "it is no object");
  ENN_ASSIGN(const std::string dtype, string_from(object, "dtype"));
  ENN_ASSIGN(GivenEncoding given, numbers_from(object, name, "scale", "zero_point"));
  ENN_ASSIGN(given.dtype, eight_bits_from(dtype, name));
  if (object.contains("min") || object.contains("max")) {
    ENN_ASSIGN(const float low, float_from(object, "min"));
    ENN_ASSIGN(const float high, float_from(object, "max"));
    if (low > high) return wrong_encoding(name, "its min is greater than its max");
    given.range = {low, high};
  }
  return given;
}

}  // namespace

Status wrong_encoding(std::string_view name, std::string_view what) {
  return error(Code::InvalidArgument, "encoding of '", printable(name), "': ", what);
}

Result<DType> eight_bits_from(std::string_view dtype, std::string_view name) {
  if (dtype == "int8") return DType::Int8;
  if (dtype == "uint8") return DType::UInt8;
  return wrong_encoding(name, "its type is not int8 or uint8");
}

Result<GivenEncoding> numbers_from(const Json& object, std::string_view name,
                                   std::string_view scales, std::string_view zero_points) {
  GivenEncoding given;
  for (const Json& item : as_list(object, scales)) {
    if (!item.is_number()) return wrong_encoding(name, "a scale is no number");
    given.scales.push_back(static_cast<float>(item.get<double>()));
  }
  for (const Json& item : as_list(object, zero_points)) {
    // AIMET also writes whole numbers with a decimal point.
    if (!item.is_number() || item.get<double>() != std::floor(item.get<double>())) {
      return wrong_encoding(name, "a zero point or offset is no integer");
    }
    // Far outside is as wrong as just outside: check() refuses both.
    given.zero_points.push_back(
        static_cast<std::int32_t>(std::clamp(item.get<double>(), -10000.0, 10000.0)));
  }
  return given;
}

std::string encodings_json(std::span<const Encoding> encodings) {
  Json tensors = Json::object();
  for (const Encoding& encoding : encodings) {
    const QuantParams& params = encoding.params;
    Json item = {{"dtype", to_string(encoding.dtype)},
                 {"quant_min", params.quant_min},
                 {"quant_max", params.quant_max}};
    if (params.per_tensor()) {
      item["scale"] = params.scale();
      item["zero_point"] = params.zero_point();
    } else {
      item["scale"] = params.scales;
      item["zero_point"] = params.zero_points;
      item["axis"] = params.axis;
    }
    if (encoding.range) {
      item["min"] = encoding.range->first;
      item["max"] = encoding.range->second;
    }
    tensors[encoding.name] = std::move(item);
  }
  return text_of({{"format", kFormat}, {"version", kVersion}, {"tensors", std::move(tensors)}});
}

std::string aimet_json(std::span<const Encoding> encodings) {
  return text_of(aimet_document(encodings));
}

Result<std::map<std::string, GivenEncoding>> parse_encodings(std::string_view text) {
  ENN_ASSIGN(const Json document, parse_object(text, "encodings"));
  std::map<std::string, GivenEncoding> result;
  if (is_aimet(document)) {
    ENN_ASSIGN(result, parse_aimet(document));
  } else {
    ENN_TRY(check_format(document, kFormat, kVersion));
    const auto tensors = document.find("tensors");
    if (tensors == document.end() || !tensors->is_object()) {
      return error(Code::InvalidArgument, "'tensors' is missing or no object");
    }
    for (const auto& [name, item] : tensors->items()) {
      ENN_ASSIGN(result[name], own_from(item, name));
    }
  }
  for (const auto& [name, encoding] : result) ENN_TRY(check(name, encoding));
  return result;
}

}  // namespace enn

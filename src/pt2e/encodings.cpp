#include "pt2e/encodings.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "quantizer/json.hpp"

namespace enn {

namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "openenn.encodings";
constexpr std::uint64_t kVersion = 1;
constexpr std::string_view kAimetVersion = "1.0.0";
constexpr std::int32_t kSignedOffset = 128;

std::string text_of(const json& document) {
  return document.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
}

Status check(const std::string& name, const GivenEncoding& given) {
  if (given.scales.empty() || given.scales.size() != given.zero_points.size()) {
    return error(Code::InvalidArgument, "encoding of '", printable(name), "' has ",
                 given.scales.size(), " scales and ", given.zero_points.size(), " zero points");
  }
  const std::int32_t lowest = given.dtype == DType::Int8 ? -kSignedOffset : 0;
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

Status wrong(std::string_view name, std::string_view what) {
  return error(Code::InvalidArgument, "encoding of '", printable(name), "': ", what);
}

// A number or a list of numbers, as a list.
std::vector<json> as_list(const json& object, std::string_view member) {
  const auto found = object.find(member);
  if (found == object.end()) return {};
  if (!found->is_array()) return {*found};
  return {found->begin(), found->end()};
}

Result<GivenEncoding> numbers_from(const json& object, const std::string& name,
                                   std::string_view zero_points) {
  GivenEncoding given;
  for (const json& item : as_list(object, "scale")) {
    if (!item.is_number()) return wrong(name, "a scale is no number");
    given.scales.push_back(static_cast<float>(item.get<double>()));
  }
  for (const json& item : as_list(object, zero_points)) {
    if (!item.is_number_integer()) return wrong(name, "a zero point or offset is no integer");
    const auto number = item.get<std::int64_t>();
    // Far outside is as wrong as just outside: check() refuses both.
    given.zero_points.push_back(
        static_cast<std::int32_t>(std::clamp<std::int64_t>(number, -10000, 10000)));
  }
  return given;
}

Result<GivenEncoding> own_from(const json& object, const std::string& name) {
  if (!object.is_object()) return wrong(name, "it is no object");
  ENN_ASSIGN(const std::string dtype, string_from(object, "dtype"));
  ENN_ASSIGN(GivenEncoding given, numbers_from(object, name, "zero_point"));
  if (dtype != "int8" && dtype != "uint8") return wrong(name, "its dtype is not int8 or uint8");
  given.dtype = dtype == "int8" ? DType::Int8 : DType::UInt8;
  return given;
}

Result<GivenEncoding> aimet_from(const json& object, const std::string& name) {
  const auto bits = object.find("bw");
  const auto dtype = object.find("dtype");
  if (bits == object.end() || *bits != 8 || dtype == object.end() || *dtype != "INT") {
    return wrong(name, "only integers of 8 bits are taken (\"bw\": 8, \"dtype\": \"INT\")");
  }
  ENN_ASSIGN(GivenEncoding given, numbers_from(object, name, "offset"));
  // One offset may stand for all channels.
  if (given.zero_points.size() == 1)
    given.zero_points.resize(given.scales.size(), given.zero_points[0]);
  for (std::int32_t& offset : given.zero_points) offset = -offset - kSignedOffset;
  return given;
}

}  // namespace

std::string encodings_json(std::span<const Encoding> encodings) {
  json tensors = json::object();
  for (const Encoding& encoding : encodings) {
    const QuantParams& params = encoding.params;
    json item = {{"dtype", to_string(encoding.dtype)},
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
  json activations = json::array();
  json parameters = json::array();
  for (const Encoding& encoding : encodings) {
    const QuantParams& params = encoding.params;
    std::vector<std::int32_t> offsets;
    for (const std::int32_t zero_point : params.zero_points) {
      offsets.push_back(-zero_point - (encoding.dtype == DType::Int8 ? kSignedOffset : 0));
    }
    json item = {{"name", encoding.name},
                 {"dtype", "INT"},
                 {"bw", 8},
                 {"enc_type", params.per_tensor() ? "PER_TENSOR" : "PER_CHANNEL"},
                 {"is_sym", encoding.symmetric},
                 {"scale", params.scales},
                 {"offset", offsets}};
    (encoding.parameter ? parameters : activations).push_back(std::move(item));
  }
  return text_of({{"version", kAimetVersion},
                  {"activation_encodings", std::move(activations)},
                  {"param_encodings", std::move(parameters)},
                  {"excluded_layers", json::array()},
                  {"producer", "openenn"}});
}

Result<std::map<std::string, GivenEncoding>> parse_encodings(std::string_view text) {
  ENN_ASSIGN(const json document, parse_object(text, "encodings"));
  std::map<std::string, GivenEncoding> result;
  if (!document.contains("activation_encodings")) {
    ENN_TRY(check_format(document, kFormat, kVersion));
    const auto tensors = document.find("tensors");
    if (tensors == document.end() || !tensors->is_object()) {
      return error(Code::InvalidArgument, "'tensors' is missing or no object");
    }
    for (const auto& [name, item] : tensors->items()) {
      ENN_ASSIGN(result[name], own_from(item, name));
      ENN_TRY(check(name, result[name]));
    }
    return result;
  }
  ENN_ASSIGN(const std::string version, string_from(document, "version"));
  if (version != kAimetVersion) {
    return error(Code::InvalidArgument, "AIMET encodings of version '", printable(version),
                 "' are not known; this engine reads ", kAimetVersion);
  }
  for (const std::string_view member : {"activation_encodings", "param_encodings"}) {
    const auto list = document.find(member);
    if (list == document.end()) continue;
    if (!list->is_array()) return error(Code::InvalidArgument, "'", member, "' is no list");
    for (const json& item : *list) {
      ENN_ASSIGN(const std::string name, string_from(item, "name"));
      ENN_ASSIGN(result[name], aimet_from(item, name));
      ENN_TRY(check(name, result[name]));
    }
  }
  return result;
}

}  // namespace enn

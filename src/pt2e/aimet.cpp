#include "pt2e/aimet.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "quantizer/json.hpp"

namespace enn {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kWritten = "1.0.0";
constexpr std::int32_t kSignedOffset = 128;

// None for an encoding that is passed over.
using Parsed = std::optional<GivenEncoding>;
using Encodings = std::map<std::string, GivenEncoding>;

// One zero point may stand for all channels.
void spread(GivenEncoding& given) {
  if (given.zero_points.size() == 1)
    given.zero_points.resize(given.scales.size(), given.zero_points[0]);
}

GivenEncoding from_offsets(GivenEncoding given) {
  spread(given);
  for (std::int32_t& offset : given.zero_points) offset = -offset - kSignedOffset;
  return given;
}

// Whether an encoding is taken (8 bits) or passed over (32 bits).
Result<bool> is_taken(const Json& object, const std::string& name, std::string_view bits_member,
                      std::string_view integers) {
  const auto bits = object.find(bits_member);
  const auto type = object.find("dtype");
  const bool whole = type == object.end() || *type == integers;
  if (whole && bits != object.end() && *bits == 32) return false;
  if (whole && bits != object.end() && *bits == 8) return true;
  return wrong_encoding(name, str("only integers of 8 bits are taken (\"", bits_member,
                                  "\": 8, \"dtype\": \"", integers, "\")"));
}

// 0.4.0 to 0.6.1: a list with an object for each channel.
Result<Parsed> parse_version_0(const Json& channels, const std::string& name) {
  if (!channels.is_array() || channels.empty()) {
    return wrong_encoding(name, "it is no list of encodings");
  }
  GivenEncoding given;
  for (const Json& channel : channels) {
    if (!channel.is_object()) return wrong_encoding(name, "it is no list of encodings");
    ENN_ASSIGN(const bool taken, is_taken(channel, name, "bitwidth", "int"));
    if (!taken) return Parsed();
    ENN_ASSIGN(const GivenEncoding one, numbers_from(channel, name, "scale", "offset"));
    if (one.scales.size() != 1 || one.zero_points.size() != 1) {
      return wrong_encoding(name, "a channel has not one scale and one offset");
    }
    given.scales.push_back(one.scales[0]);
    given.zero_points.push_back(one.zero_points[0]);
  }
  return Parsed(from_offsets(std::move(given)));
}

Result<Parsed> parse_version_1(const Json& object, const std::string& name) {
  ENN_ASSIGN(const bool taken, is_taken(object, name, "bw", "INT"));
  if (!taken) return Parsed();
  ENN_ASSIGN(GivenEncoding given, numbers_from(object, name, "scale", "offset"));
  return Parsed(from_offsets(std::move(given)));
}

// The operands of ONNX's QuantizeLinear.
Result<Parsed> parse_version_2(const Json& object, const std::string& name) {
  ENN_ASSIGN(const std::string dtype, string_from(object, "output_dtype"));
  if (dtype == "int32") return Parsed();
  ENN_ASSIGN(GivenEncoding given, numbers_from(object, name, "y_scale", "y_zero_point"));
  ENN_ASSIGN(given.dtype, eight_bits_from(dtype, name));
  if (given.zero_points.empty()) given.zero_points.push_back(0);
  spread(given);
  return Parsed(std::move(given));
}

Status add(Encodings& encodings, const std::string& name, Result<Parsed> parsed) {
  ENN_ASSIGN(Parsed encoding, std::move(parsed));
  if (encoding) encodings[name] = std::move(*encoding);
  return {};
}

}  // namespace

bool is_aimet(const Json& document) {
  return document.contains("activation_encodings") || document.contains("encodings");
}

Result<Encodings> parse_aimet(const Json& document) {
  ENN_ASSIGN(const std::string version, string_from(document, "version"));
  const bool objects = version == "0.4.0" || version == "0.5.0" || version == "0.6.1";
  if (!objects && version != "1.0.0" && version != "2.0.0") {
    return error(Code::InvalidArgument, "AIMET encodings of version '", printable(version),
                 "' are not known; this engine reads 0.4.0 to 0.6.1, 1.0.0 and 2.0.0");
  }
  Encodings encodings;
  for (const std::string_view member : {"activation_encodings", "param_encodings", "encodings"}) {
    const auto found = document.find(member);
    if (found == document.end()) continue;
    if (objects) {
      if (!found->is_object()) {
        return error(Code::InvalidArgument, "'", member, "' is no object");
      }
      for (const auto& [name, item] : found->items()) {
        ENN_TRY(add(encodings, name, parse_version_0(item, name)));
      }
      continue;
    }
    if (!found->is_array()) return error(Code::InvalidArgument, "'", member, "' is no list");
    for (const Json& item : *found) {
      ENN_ASSIGN(const std::string name, string_from(item, "name"));
      ENN_TRY(add(encodings, name,
                  version == "1.0.0" ? parse_version_1(item, name) : parse_version_2(item, name)));
    }
  }
  return encodings;
}

Json aimet_document(std::span<const Encoding> encodings) {
  Json activations = Json::array();
  Json parameters = Json::array();
  for (const Encoding& encoding : encodings) {
    const QuantParams& params = encoding.params;
    std::vector<std::int32_t> offsets;
    for (const std::int32_t zero_point : params.zero_points) {
      offsets.push_back(-zero_point - (encoding.dtype == DType::Int8 ? kSignedOffset : 0));
    }
    Json item = {{"name", encoding.qualified_name},
                 {"dtype", "INT"},
                 {"bw", 8},
                 {"enc_type", params.per_tensor() ? "PER_TENSOR" : "PER_CHANNEL"},
                 {"is_sym", encoding.symmetric},
                 {"scale", params.scales},
                 {"offset", offsets}};
    (encoding.parameter ? parameters : activations).push_back(std::move(item));
  }
  return {{"version", kWritten},
          {"activation_encodings", std::move(activations)},
          {"param_encodings", std::move(parameters)},
          {"excluded_layers", Json::array()},
          {"producer", "openenn"}};
}

}  // namespace enn

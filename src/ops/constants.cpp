#include "ops/constants.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/program_builder.hpp"

namespace enn {
namespace {

template <typename T>
std::vector<T> elements(const Value& value) {
  std::vector<T> out(value.data->size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), value.data->data(), out.size() * sizeof(T));
  return out;
}

template <typename T>
std::vector<float> dequantized(const Value& value, const QuantParams& params) {
  const std::vector<T> values = elements<T>(value);
  std::vector<float> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t channel = quantized_channel(i, value.type.shape, params);
    const std::int64_t difference = std::int64_t{values[i]} - params.zero_points[channel];
    out[i] = static_cast<float>(difference) * params.scales[channel];
  }
  return out;
}

Status not_constant(const Graph& graph, ValueId id, std::string_view what) {
  const Value& value = graph.value(id);
  return error(Code::Unsupported, "value '", value.name, "' of type ", to_string(value.type),
               " is not a constant of ", what);
}

}  // namespace

bool is_float_constant(const Graph& graph, ValueId id) {
  return id != kNone && graph.value(id).is_constant() &&
         graph.value(id).type.dtype == DType::Float32;
}

Result<std::vector<float>> constant_floats(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.type.dtype != DType::Float32) {
    return not_constant(graph, id, "float32");
  }
  return elements<float>(value);
}

Result<std::vector<float>> constant_floats_or(const Graph& graph, ValueId id, std::size_t count,
                                              float otherwise) {
  if (id == kNone) return std::vector<float>(count, otherwise);
  return constant_floats(graph, id);
}

Result<std::vector<std::int8_t>> constant_int8(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.type.dtype != DType::Int8)
    return not_constant(graph, id, "int8");
  return elements<std::int8_t>(value);
}

Result<std::vector<std::int64_t>> constant_integers(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.is_constant() && value.type.dtype == DType::Int64) return elements<std::int64_t>(value);
  if (value.is_constant() && value.type.dtype == DType::Int32) {
    const auto narrow = elements<std::int32_t>(value);
    return std::vector<std::int64_t>(narrow.begin(), narrow.end());
  }
  return not_constant(graph, id, "integers");
}

std::size_t quantized_channel(std::size_t i, const Shape& shape, const QuantParams& params) {
  if (params.per_tensor()) return 0;
  std::size_t inner = 1;
  for (std::size_t d = static_cast<std::size_t>(params.axis) + 1; d < shape.size(); ++d) {
    inner *= static_cast<std::size_t>(shape[d]);
  }
  return i / inner % params.scales.size();
}

Result<std::vector<float>> dequantized_floats(const Value& value, const QuantParams& params) {
  switch (value.type.dtype) {
    case DType::Int8:
      return dequantized<std::int8_t>(value, params);
    case DType::UInt8:
      return dequantized<std::uint8_t>(value, params);
    case DType::Int32:
      return dequantized<std::int32_t>(value, params);
    default:
      return error(Code::Unsupported, "constants of ", to_string(value.type.dtype),
                   " are not dequantized");
  }
}

float inverse_scale(float scale) { return static_cast<float>(1.0 / static_cast<double>(scale)); }

std::int32_t quantize_value(float x, float inverse_scale, std::int32_t zero_point,
                            std::int32_t quant_min, std::int32_t quant_max) {
  const float q = std::nearbyint(x * inverse_scale) + static_cast<float>(zero_point);
  if (!(q > static_cast<float>(quant_min))) return quant_min;
  return q < static_cast<float>(quant_max) ? static_cast<std::int32_t>(q) : quant_max;
}

void divide_by_scale(const Value& output, std::vector<float>& values) {
  if (!output.quant) return;
  const double scale = static_cast<double>(output.quant->scale());
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) / scale);
}

StoredRange stored_range(const Value& output, const Attributes& attrs) {
  const QuantParams& quant = *output.quant;
  const auto bound = [&](const char* name, std::int32_t otherwise) {
    if (!attrs.has(name)) return otherwise;
    return quantize_value(static_cast<float>(attrs.number(name)), inverse_scale(quant.scale()),
                          quant.zero_point(), quant.quant_min, quant.quant_max);
  };
  const std::int32_t offset = storage_offset(output.type.dtype);
  return {bound("activation_min", quant.quant_min) + offset,
          bound("activation_max", quant.quant_max) + offset};
}

FloatRange float_range(const Attributes& attrs) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {static_cast<float>(attrs.number("activation_min", -kInfinity)),
          static_cast<float>(attrs.number("activation_max", kInfinity))};
}

}  // namespace enn

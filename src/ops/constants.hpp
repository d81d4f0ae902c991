// Constants at compile time: reading them, evaluating constant expressions, and the integer side of
// quantization. The arithmetic is docs/arithmetic.md's.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.hpp"

namespace enn {

// True where `id` names a float32 constant; false for kNone and for what is computed.
[[nodiscard]] bool is_float_constant(const Graph& graph, ValueId id);

// The elements of a float32 constant, or of a dequantized one, row-major. An error when `id` is not
// constant.
[[nodiscard]] Result<std::vector<float>> constant_floats(const Graph& graph, ValueId id);
// The same, or `count` times `otherwise` when `id` is kNone.
[[nodiscard]] Result<std::vector<float>> constant_floats_or(const Graph& graph, ValueId id,
                                                            std::size_t count, float otherwise);
// The elements of an int8 or uint8-coded-as-int8 constant.
[[nodiscard]] Result<std::vector<std::int8_t>> constant_int8(const Graph& graph, ValueId id);
// The elements of an int32 or int64 constant.
[[nodiscard]] Result<std::vector<std::int64_t>> constant_integers(const Graph& graph, ValueId id);

// Which of the params' scales element i (row-major) of a tensor of `shape` has.
[[nodiscard]] std::size_t quantized_channel(std::size_t i, const Shape& shape,
                                            const QuantParams& params);
// (q - zero point) * scale of the elements of an int8, uint8 or int32 constant.
[[nodiscard]] Result<std::vector<float>> dequantized_floats(const Value& value,
                                                            const QuantParams& params);

template <typename T>
[[nodiscard]] std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto* begin = reinterpret_cast<const std::byte*>(values.data());
  return {begin, begin + values.size() * sizeof(T)};
}

// 1 / scale as torch's quantize computes it: in double, then rounded to float32.
[[nodiscard]] float inverse_scale(float scale);
// clamp(round_half_even(x * inverse_scale) + zero_point, quant_min, quant_max); NaN becomes
// quant_min.
[[nodiscard]] std::int32_t quantize_value(float x, float inverse_scale, std::int32_t zero_point,
                                          std::int32_t quant_min, std::int32_t quant_max);

// Reals in steps of a quantized result: divided by its scale in double, rounded once. Not
// quantized: left as they are.
void divide_by_scale(const Value& output, std::vector<float>& values);

// The range of stored (offset-binary) integers that a quantized result may take: its quantized
// range, cut by the activation_min and activation_max of `attrs`.
struct StoredRange {
  std::int32_t minimum = 0;
  std::int32_t maximum = 255;
};
[[nodiscard]] StoredRange stored_range(const Value& output, const Attributes& attrs);

// The range of a float result: from activation_min to activation_max, infinite where absent.
struct FloatRange {
  float minimum;
  float maximum;
};
[[nodiscard]] FloatRange float_range(const Attributes& attrs);

}  // namespace enn

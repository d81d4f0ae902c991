// out[i] = in[i] as another element type: functions.hpp. A UInt8 holds its integer plus an offset:
// in[i] - input_offset is what is converted, and output_offset is added to a UInt8 result, both
// modulo 256.
#pragma once

#include <cstdint>

namespace enn {

enum class NumberType : std::uint8_t { F32, F16, I32, I64, U8, Bool };

void convert(NumberType from, NumberType to, std::int32_t input_offset, std::int32_t output_offset,
             const void* in, void* out, std::int64_t n) noexcept;

}  // namespace enn

// out[i] = f(in[i]) in float32, f from functions.hpp. `in` and `out` may be the same address.
#pragma once

#include <cstdint>

namespace enn {

enum class UnaryOp : std::uint8_t { Relu, Clamp, Sigmoid, Tanh, Hardswish, Hardsigmoid };

// minimum and maximum are Clamp's.
void unary_f32(UnaryOp op, float minimum, float maximum, const float* in, float* out,
               std::int64_t n) noexcept;

}  // namespace enn

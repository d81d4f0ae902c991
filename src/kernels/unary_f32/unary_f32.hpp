// out[i] = f(in[i]) in float32, f from functions.hpp. `in` and `out` may be the same address.
#pragma once

#include <cstdint>

namespace enn {

enum class UnaryOp : std::uint8_t {
#define ENN_UNARY(name, function) name,
#include "kernels/unary_f32/functions.def"
#undef ENN_UNARY
};

void unary_f32(UnaryOp op, float alpha, float beta, const float* in, float* out,
               std::int64_t n) noexcept;

}  // namespace enn

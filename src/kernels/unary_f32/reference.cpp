#include "kernels/unary_f32/functions.hpp"
#include "kernels/unary_f32/unary_f32.hpp"

namespace enn {

void unary_f32(UnaryOp op, float alpha, float beta, const float* in, float* out,
               std::int64_t n) noexcept {
  switch (op) {
#define ENN_UNARY(name, function)                                               \
  case UnaryOp::name:                                                           \
    for (std::int64_t i = 0; i < n; ++i) out[i] = function(in[i], alpha, beta); \
    break;
#include "kernels/unary_f32/functions.def"
#undef ENN_UNARY
  }
}

}  // namespace enn

#include "kernels/unary_f32/functions.hpp"
#include "kernels/unary_f32/unary_f32.hpp"

namespace enn {
namespace {

template <typename Function>
void map(const float* in, float* out, std::int64_t n, const Function& function) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = function(in[i]);
}

}  // namespace

void unary_f32(UnaryOp op, float minimum, float maximum, const float* in, float* out,
               std::int64_t n) noexcept {
  switch (op) {
    case UnaryOp::Relu:
      return map(in, out, n, relu_f32);
    case UnaryOp::Clamp:
      return map(in, out, n, [&](float x) { return clamp_f32(x, minimum, maximum); });
    case UnaryOp::Sigmoid:
      return map(in, out, n, sigmoid_f32);
    case UnaryOp::Tanh:
      return map(in, out, n, tanh_f32);
    case UnaryOp::Hardswish:
      return map(in, out, n, hardswish_f32);
    case UnaryOp::Hardsigmoid:
      return map(in, out, n, hardsigmoid_f32);
  }
}

}  // namespace enn

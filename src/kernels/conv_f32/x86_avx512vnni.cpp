#include <immintrin.h>

#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {
namespace {

using Vector = __m512;
constexpr std::int64_t kLanes = 16;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;

inline Vector broadcast(const float* x) { return _mm512_set1_ps(*x); }
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline __mmask16 first_lanes(std::int64_t n) {
  const std::int64_t bounded = n < 0 ? 0 : n;
  return static_cast<__mmask16>((1U << static_cast<unsigned>(bounded < 16 ? bounded : 16)) - 1U);
}
inline Vector load_first(const float* from, std::int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), from);
}
inline void store_first(float* to, std::int64_t n, Vector v) {
  _mm512_mask_storeu_ps(to, first_lanes(n), v);
}
inline Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector minimum(Vector a, Vector b) { return _mm512_min_ps(a, b); }
inline Vector maximum(Vector a, Vector b) { return _mm512_max_ps(a, b); }

}  // namespace
}  // namespace enn

#include "kernels/conv_f32/x86_conv_f32.hpp"

namespace enn {

void conv_f32_6x64_avx512vnni(const ConvF32Args& args, const ConvF32Part& part) noexcept;
void conv_f32_6x64_avx512vnni(const ConvF32Args& args, const ConvF32Part& part) noexcept {
  run_gemm(args, part);
}

void depthwise_f32_8x16_avx512vnni(const ConvF32Args& args, const ConvF32Part& part) noexcept;
void depthwise_f32_8x16_avx512vnni(const ConvF32Args& args, const ConvF32Part& part) noexcept {
  run_depthwise(args, part);
}

}  // namespace enn

#include <immintrin.h>

#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {
namespace {

using Vector = __m256;
constexpr std::int64_t kLanes = 8;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;

inline Vector broadcast(const float* x) { return _mm256_broadcast_ss(x); }
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline __m256i first_lanes(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(n < 8 ? n : 8)), lane);
}
inline Vector load_first(const float* from, std::int64_t n) {
  return n >= kLanes ? load(from) : _mm256_maskload_ps(from, first_lanes(n));
}
inline void store_first(float* to, std::int64_t n, Vector v) {
  n >= kLanes ? _mm256_storeu_ps(to, v) : _mm256_maskstore_ps(to, first_lanes(n), v);
}
inline Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector minimum(Vector a, Vector b) { return _mm256_min_ps(a, b); }
inline Vector maximum(Vector a, Vector b) { return _mm256_max_ps(a, b); }

}  // namespace
}  // namespace enn

#include "kernels/conv_f32/x86_conv_f32.hpp"

namespace enn {

void conv_f32_6x16_avx2(const ConvF32Args& args, const ConvF32Part& part) noexcept;
void conv_f32_6x16_avx2(const ConvF32Args& args, const ConvF32Part& part) noexcept {
  run_gemm(args, part);
}

void depthwise_f32_8x8_avx2(const ConvF32Args& args, const ConvF32Part& part) noexcept;
void depthwise_f32_8x8_avx2(const ConvF32Args& args, const ConvF32Part& part) noexcept {
  run_depthwise(args, part);
}

}  // namespace enn

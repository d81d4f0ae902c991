// The tests compile this file a second time with ENN_EMULATE_VNNI, as they do x86_avx512vnni.cpp.
#if defined(ENN_EMULATE_VNNI)
#include <simde/x86/avx512.h>
#endif

#include "kernels/conv/x86_depthwise.hpp"
#include "kernels/conv/x86_igemm_u8s8.hpp"

namespace enn {
namespace {

struct Lanes8 {
  using Vector = __m256i;
  static constexpr int kCount = 8;
  static constexpr int kRows = 6;

  static Vector load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static void store(void* to, Vector v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }
  static Vector set1(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static Vector part(Vector v, int /*i*/) { return v; }
#if defined(ENN_EMULATE_VNNI)
  static void dot(Vector& acc, Vector x, Vector w) { acc = simde_mm256_dpbusd_epi32(acc, x, w); }
#else
  static void dot(Vector& acc, Vector x, Vector w) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "xm"(w));
  }
#endif
};

struct WordDot {
  static __m256i dot(__m256i acc, __m256i x, __m256i w) {
#if defined(ENN_EMULATE_VNNI)
    return simde_mm256_dpwssd_epi32(acc, x, w);
#else
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(x), "xm"(w));
    return acc;
#endif
  }
};

}  // namespace

const IgemmKernel igemm_u8_s8_u8_6x16c4_avxvnni = {
    Lanes8::kRows, 16, 4, IgemmOperands::U8S8, gather_u8, tile_u8s8_columns<Lanes8>};
const DepthwiseKernel depthwise_u8_s8_u8_1x32_avxvnni = {32, kDepthwiseOrder,
                                                         depthwise_row<WordDot>};

}  // namespace enn

// The tests compile this file a second time with ENN_EMULATE_VNNI, on SIMDe, to prove its logic on
// CPUs without the instructions.
#if defined(ENN_EMULATE_VNNI)
#include <simde/x86/avx512.h>
#endif

#include "kernels/conv/x86_depthwise.hpp"
#include "kernels/conv/x86_igemm_u8s8.hpp"

namespace enn {
namespace {

#if defined(ENN_EMULATE_VNNI)

struct Lanes16 {
  using Vector = simde__m512i;
  static constexpr int kCount = 16;
  static constexpr int kRows = 12;

  static Vector load(const void* from) { return simde_mm512_loadu_si512(from); }
  static void store(void* to, Vector v) { simde_mm512_storeu_si512(to, v); }
  static Vector set1(std::int32_t x) { return simde_mm512_set1_epi32(x); }
  static Vector add(Vector a, Vector b) { return simde_mm512_add_epi32(a, b); }
  static void dot(Vector& acc, Vector x, Vector w) { acc = simde_mm512_dpbusd_epi32(acc, x, w); }
  static __m256i part(Vector v, int i) {
    alignas(64) std::int32_t lanes[16];
    simde_mm512_storeu_si512(lanes, v);
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes + 8 * i));
  }
};

struct WordDot {
  static __m256i dot(__m256i acc, __m256i x, __m256i w) {
    return simde_mm256_dpwssd_epi32(acc, x, w);
  }
};

#else

// Dot products in assembly: for the intrinsics, compilers copy accumulators and spill them in the
// inner loop.
struct Lanes16 {
  using Vector = __m512i;
  static constexpr int kCount = 16;
  static constexpr int kRows = 12;

  static Vector load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Vector v) { _mm512_storeu_si512(to, v); }
  static Vector set1(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static void dot(Vector& acc, Vector x, Vector w) {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "vm"(w));
  }
  static Vector part(Vector v, int /*i*/) { return v; }
};

struct WordDot {
  static __m256i dot(__m256i acc, __m256i x, __m256i w) {
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "vm"(w));
    return acc;
  }
};

#endif

}  // namespace

const IgemmKernel igemm_u8_s8_u8_12x32c4_avx512vnni = {
    Lanes16::kRows, 32, 4, IgemmOperands::U8S8, gather_u8, tile_u8s8_columns<Lanes16>};
const DepthwiseKernel depthwise_u8_s8_u8_1x32_avx512vnni = {32, kDepthwiseOrder,
                                                            depthwise_row<WordDot>};

}  // namespace enn

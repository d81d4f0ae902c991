// The ISA's widest registers, and 32 floats in several of them. Included by ISA sources only.
#pragma once

#include "kernels/x86_avx2.hpp"

namespace enn {
namespace {

#if defined(__AVX512F__)

using Register = __m512;
using Integers = __m512i;
using Bytes = __m256i;  // as many as two registers have floats

inline Register splat(float x) { return _mm512_set1_ps(x); }
inline Register load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Register x) { _mm512_storeu_ps(to, x); }
inline Register min(Register a, Register b) { return _mm512_min_ps(a, b); }
inline Register max(Register a, Register b) { return _mm512_max_ps(a, b); }
inline Register fma(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
inline Register where_positive(Register x, Register positive, Register other) {
  const __mmask16 mask = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_mask_blend_ps(mask, other, positive);
}
inline Register scale_by_power(Register x, Register bits) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(bits), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}

inline Register to_floats(Integers x) { return _mm512_cvtepi32_ps(x); }
inline Integers to_integers(Register x) { return _mm512_cvtps_epi32(x); }
inline Integers splat_words(std::int16_t x) { return _mm512_set1_epi16(x); }
inline Integers add_words(Integers a, Integers b) { return _mm512_adds_epi16(a, b); }
inline Integers max_words(Integers a, Integers b) { return _mm512_max_epi16(a, b); }
inline Integers pack_words(Integers a, Integers b) { return _mm512_packs_epi32(a, b); }
inline Integers pack_bytes(Integers a, Integers b) { return _mm512_packus_epi16(a, b); }
inline Integers unpacked_order(Integers x) {
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
}
inline Bytes first_half(Integers x) { return _mm512_castsi512_si256(x); }
inline Bytes second_half(Integers x) { return _mm512_extracti64x4_epi64(x, 1); }
inline void store_bytes(std::uint8_t* to, Bytes x, std::int64_t n) {
  if (n >= 32) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
  store_partial(to, _mm256_castsi256_si128(x), n < 16 ? n : 16);
  if (n > 16) store_partial(to + 16, _mm256_extracti128_si256(x, 1), n - 16);
}
inline Register load_bytes(const std::uint8_t* from, std::int64_t n) {
  return to_floats(_mm512_cvtepu8_epi32(load_partial(from, n < 16 ? n : 16)));
}

#else

using Register = __m256;
using Integers = __m256i;
using Bytes = __m128i;

inline Register splat(float x) { return _mm256_set1_ps(x); }
inline Register load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Register x) { _mm256_storeu_ps(to, x); }
inline Register min(Register a, Register b) { return _mm256_min_ps(a, b); }
inline Register max(Register a, Register b) { return _mm256_max_ps(a, b); }
inline Register fma(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
inline Register where_positive(Register x, Register positive, Register other) {
  return _mm256_blendv_ps(other, positive, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}
inline Register scale_by_power(Register x, Register bits) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(bits), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

inline Register to_floats(Integers x) { return _mm256_cvtepi32_ps(x); }
inline Integers to_integers(Register x) { return _mm256_cvtps_epi32(x); }
inline Integers splat_words(std::int16_t x) { return _mm256_set1_epi16(x); }
inline Integers add_words(Integers a, Integers b) { return _mm256_adds_epi16(a, b); }
inline Integers max_words(Integers a, Integers b) { return _mm256_max_epi16(a, b); }
// Saturated; in each 128 bits, first those of a, then those of b.
inline Integers pack_words(Integers a, Integers b) { return _mm256_packs_epi32(a, b); }
inline Integers pack_bytes(Integers a, Integers b) { return _mm256_packus_epi16(a, b); }
// Of pack_bytes(pack_words(a, b), pack_words(c, d)): the bytes of a, of b, of c, of d.
inline Integers unpacked_order(Integers x) {
  return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
inline Bytes first_half(Integers x) { return _mm256_castsi256_si128(x); }
inline Bytes second_half(Integers x) { return _mm256_extracti128_si256(x, 1); }
// The first n of the bytes, or all.
inline void store_bytes(std::uint8_t* to, Bytes x, std::int64_t n) {
  store_partial(to, x, n < 16 ? n : 16);
}
// n bytes, or as many as there are lanes, as floats; 0 in the other lanes.
inline Register load_bytes(const std::uint8_t* from, std::int64_t n) {
  if (n >= 8) return to_floats(load_u8_s32(from));
  return to_floats(_mm256_cvtepu8_epi32(load_partial(from, n)));
}

#endif

inline constexpr int kRegisterFloats = sizeof(Register) / sizeof(float);

// 32 floats. Every operation is written for all of their registers before the next, so that the
// chains of all are on their way at once.
struct Floats32 {
  Register v[32U / kRegisterFloats];
};

template <typename Operation, typename... Operands>
inline Floats32 each(const Operation& operation, const Operands&... operands) {
  Floats32 result;
#pragma GCC unroll 4
  for (int i = 0; i < 32 / kRegisterFloats; ++i) result.v[i] = operation(operands.v[i]...);
  return result;
}

inline Floats32 splat32(float x) {
  return each([&](Register) { return splat(x); }, Floats32{});
}
inline Floats32 load32(const float* from) {
  Floats32 result;
  for (int i = 0; i < 32 / kRegisterFloats; ++i) result.v[i] = load(from + i * kRegisterFloats);
  return result;
}
inline void store32(float* to, const Floats32& x) {
  for (int i = 0; i < 32 / kRegisterFloats; ++i) store(to + i * kRegisterFloats, x.v[i]);
}

inline Floats32 operator+(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return x + y; }, a, b);
}
inline Floats32 operator-(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return x - y; }, a, b);
}
inline Floats32 operator*(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return x * y; }, a, b);
}
inline Floats32 operator/(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return x / y; }, a, b);
}
inline Floats32 min(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return min(x, y); }, a, b);
}
// b where a is NaN.
inline Floats32 max(const Floats32& a, const Floats32& b) {
  return each([](Register x, Register y) { return max(x, y); }, a, b);
}
inline Floats32 fma(const Floats32& a, const Floats32& b, const Floats32& c) {
  return each([](Register x, Register y, Register z) { return fma(x, y, z); }, a, b, c);
}
// positive where x > 0, else other.
inline Floats32 where_positive(const Floats32& x, const Floats32& positive, const Floats32& other) {
  return each([](Register a, Register b, Register c) { return where_positive(a, b, c); }, x,
              positive, other);
}
// x * 2^n, with n in the lowest nine bits of `bits`; x and the result are normal numbers.
inline Floats32 scale_by_power(const Floats32& x, const Floats32& bits) {
  return each([](Register a, Register b) { return scale_by_power(a, b); }, x, bits);
}

}  // namespace
}  // namespace enn

#include "kernels/x86_avx2.hpp"

#include "kernels/matmul/packed.hpp"

namespace enn {
namespace {

inline void store256(std::byte* to, __m256i v) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), v);
}

// v[i][j] becomes v[j][i], on int32 lanes.
inline void transpose8x8(__m256i* v) {
  __m256i pairs[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  __m256i quads[8];
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
    quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
    quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
  }
}

// n bytes at `in`, then `fill`.
inline __m256i load_filled(const std::uint8_t* in, std::int64_t n, std::uint8_t fill) {
  if (n >= 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  alignas(32) std::uint8_t buffer[32];
  std::memset(buffer, fill, sizeof(buffer));
  std::memcpy(buffer, in, static_cast<std::size_t>(n));
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(buffer));
}

// Adds the four signed bytes of each lane to the lane of `sums`.
inline __m256i add_bytes(__m256i sums, __m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Eight columns from `column` of a transposed panel.
void pack_c4_transposed(const MatMulColumns& columns, std::int64_t column, std::byte* packed,
                        std::int32_t* sums) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(columns.b) + column * columns.stride;
  const std::int64_t count = columns.count - column < 8 ? columns.count - column : 8;
  const __m256i flip = _mm256_set1_epi8(-128);
  __m256i total = _mm256_setzero_si256();
  for (std::int64_t k = 0; k < columns.depth; k += 32) {
    __m256i v[8];
    for (int i = 0; i < 8; ++i) {
      v[i] = i < count ? _mm256_xor_si256(
                             load_filled(b + i * columns.stride + k, columns.depth - k, 128), flip)
                       : _mm256_setzero_si256();
    }
    transpose8x8(v);
    const std::int64_t left = (columns.depth - k + 3) / 4;
    for (int i = 0; i < 8 && i < left; ++i) {
      store256(packed + ((k / 4 + i) * columns.nr + column) * 4, v[i]);
      total = add_bytes(total, v[i]);
    }
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + column), total);
}

// Sixteen columns from `column` of a panel as it lies.
void pack_c4_rows(const MatMulColumns& columns, std::int64_t column, std::byte* packed,
                  std::int32_t* sums) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(columns.b) + column;
  const std::int64_t count = columns.count - column < 16 ? columns.count - column : 16;
  const __m128i flip = _mm_set1_epi8(-128);
  __m256i first = _mm256_setzero_si256();
  __m256i second = _mm256_setzero_si256();
  for (std::int64_t k = 0; k < columns.depth; k += 4) {
    __m128i row[4];
    for (int i = 0; i < 4; ++i) {
      row[i] = k + i < columns.depth
                   ? _mm_xor_si128(load_partial(b + (k + i) * columns.stride, count), flip)
                   : _mm_setzero_si128();
    }
    const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]);
    const __m128i high01 = _mm_unpackhi_epi8(row[0], row[1]);
    const __m128i low23 = _mm_unpacklo_epi8(row[2], row[3]);
    const __m128i high23 = _mm_unpackhi_epi8(row[2], row[3]);
    const __m256i left =
        _mm256_set_m128i(_mm_unpackhi_epi16(low01, low23), _mm_unpacklo_epi16(low01, low23));
    const __m256i right =
        _mm256_set_m128i(_mm_unpackhi_epi16(high01, high23), _mm_unpacklo_epi16(high01, high23));
    std::byte* to = packed + (k / 4 * columns.nr + column) * 4;
    store256(to, left);
    store256(to + 32, right);
    first = add_bytes(first, left);
    second = add_bytes(second, right);
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + column), first);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + column + 8), second);
}

// Eight columns from `column` of a transposed panel.
void pack_c2_transposed(const MatMulColumns& columns, std::int64_t column, std::byte* packed) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(columns.b) + column * columns.stride;
  const std::int64_t count = columns.count - column < 8 ? columns.count - column : 8;
  const auto fill = static_cast<std::uint8_t>(columns.zero_point);
  const __m256i zero_point = _mm256_set1_epi16(static_cast<std::int16_t>(columns.zero_point));
  for (std::int64_t k = 0; k < columns.depth; k += 16) {
    __m256i v[8];
    for (int i = 0; i < 8; ++i) {
      v[i] = _mm256_setzero_si256();
      if (i >= count) continue;
      const std::uint8_t* from = b + i * columns.stride + k;
      const __m128i bytes =
          columns.depth - k >= 16
              ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))
              : _mm256_castsi256_si128(load_filled(from, columns.depth - k, fill));
      v[i] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), zero_point);
    }
    transpose8x8(v);
    const std::int64_t left = (columns.depth - k + 1) / 2;
    for (int i = 0; i < 8 && i < left; ++i) {
      store256(packed + ((k / 2 + i) * columns.nr + column) * 4, v[i]);
    }
  }
}

// Sixteen columns of a panel as it lies.
void pack_c2_rows(const MatMulColumns& columns, std::byte* packed) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(columns.b);
  const __m256i zero_point = _mm256_set1_epi16(static_cast<std::int16_t>(columns.zero_point));
  const auto row = [&](std::int64_t k) {
    if (k >= columns.depth) return _mm256_setzero_si256();
    const __m128i bytes = load_partial(b + k * columns.stride, columns.count);
    return _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), zero_point);
  };
  for (std::int64_t k = 0; k < columns.depth; k += 2) {
    const __m256i even = row(k);
    const __m256i odd = row(k + 1);
    const __m256i low = _mm256_unpacklo_epi16(even, odd);
    const __m256i high = _mm256_unpackhi_epi16(even, odd);
    std::byte* to = packed + k / 2 * columns.nr * 4;
    store256(to, _mm256_permute2x128_si256(low, high, 0x20));
    store256(to + 32, _mm256_permute2x128_si256(low, high, 0x31));
  }
}

// The first `n` lanes.
inline __m256i lane_mask(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const std::int64_t bounded = n < 0 ? 0 : (n < 8 ? n : 8);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(bounded)), lane);
}

// kRows rows times one panel of 16 columns, `columns` of which are wanted.
template <int kRows>
void tile_f32(const MatMulF32Rows& from, const float* a, const float* b, const float* bias,
              std::int64_t columns, float* out) {
  __m256 acc[static_cast<unsigned>(kRows)][2];
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    acc[i][0] = _mm256_loadu_ps(bias);
    acc[i][1] = _mm256_loadu_ps(bias + 8);
  }
  for (std::int64_t k = 0; k < from.depth; ++k, b += 16) {
    const __m256 first = _mm256_loadu_ps(b);
    const __m256 second = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m256 x = _mm256_broadcast_ss(a + i * from.depth + k);
      acc[i][0] = _mm256_fmadd_ps(x, first, acc[i][0]);
      acc[i][1] = _mm256_fmadd_ps(x, second, acc[i][1]);
    }
  }
  const __m256i first_mask = lane_mask(columns);
  const __m256i second_mask = lane_mask(columns - 8);
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    float* to = out + i * from.columns;
    _mm256_maskstore_ps(to, first_mask, acc[i][0]);
    if (columns > 8) _mm256_maskstore_ps(to + 8, second_mask, acc[i][1]);
  }
}

template <int kRows>
void tile_f32_rows(std::int64_t rows, const MatMulF32Rows& from, const float* a, const float* b,
                   const float* bias, std::int64_t columns, float* out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return tile_f32_rows<kRows - 1>(rows, from, a, b, bias, columns, out);
    }
  }
  tile_f32<kRows>(from, a, b, bias, columns, out);
}

}  // namespace

void pack_matmul_u8c4_avx2(const MatMulColumns& columns, std::byte* packed,
                           std::int32_t* sums) noexcept {
  if (columns.transposed) {
    for (std::int64_t j = 0; j < columns.count; j += 8) {
      pack_c4_transposed(columns, j, packed, sums);
    }
  } else {
    for (std::int64_t j = 0; j < columns.count; j += 16) pack_c4_rows(columns, j, packed, sums);
  }
}

void pack_matmul_u8c2_avx2(const MatMulColumns& columns, std::byte* packed,
                           std::int32_t* /*sums*/) noexcept {
  if (!columns.transposed) return pack_c2_rows(columns, packed);
  for (std::int64_t j = 0; j < columns.count; j += 8) pack_c2_transposed(columns, j, packed);
}

void pack_matmul_f32_avx2(const MatMulColumns& columns, std::byte* packed,
                          std::int32_t* /*sums*/) noexcept {
  const auto* b = reinterpret_cast<const float*>(columns.b);
  auto* to = reinterpret_cast<float*>(packed);
  if (columns.transposed) {
    for (std::int64_t j = 0; j < columns.count; ++j) {
      for (std::int64_t k = 0; k < columns.depth; ++k) to[k * 16 + j] = b[j * columns.stride + k];
    }
    return;
  }
  for (std::int64_t k = 0; k < columns.depth; ++k) {
    std::memcpy(to + k * 16, b + k * columns.stride,
                static_cast<std::size_t>(columns.count) * sizeof(float));
  }
}

void matmul_f32_rows_avx2(const MatMulF32Rows& rows) noexcept {
  for (std::int64_t column = 0; column < rows.columns; column += 16) {
    const std::int64_t columns = rows.columns - column < 16 ? rows.columns - column : 16;
    const float* b = rows.b + column * rows.depth;
    for (std::int64_t i = 0; i < rows.rows; i += 6) {
      tile_f32_rows<6>(rows.rows - i, rows, rows.a + i * rows.depth, b, rows.bias + column, columns,
                       rows.out + i * rows.columns + column);
    }
  }
}

}  // namespace enn

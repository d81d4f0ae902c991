// Register tiles on dot products of four bytes, u8 x s8. Included by ISA sources only; Lanes, a
// type of theirs, has
//   Vector, kCount (int32 lanes), kRows (of the tile)
//   load, store, set1, add: on aligned memory and int32 lanes
//   dot(acc, x, w): acc += sum of x[i] * w[i] over the four bytes of each lane, x unsigned, w
//   signed
//   part(v, i): the i-th of the Registers that v is made of
#pragma once

#include "kernels/conv/conv_tables.hpp"
#include "kernels/conv/igemm_gather.hpp"
#include "kernels/conv/x86_epilogue.hpp"
#include "kernels/x86_avx2.hpp"

namespace enn {
namespace {

// The bytes of a row as they are.
class ByteRow {
 public:
  ByteRow(const IgemmGather& from, std::byte* begin)
      : end_(from.input_end), begin_(begin), out_(begin), padding_(from.input_zero_point) {}

  // Writes whole vectors: what lies behind the n bytes is overwritten by what follows.
  void copy(const std::uint8_t* from, std::int64_t n) {
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32) store(i, from + i);
    if (i < n) {
      if (end_ - (from + i) >= 32) {
        store(i, from + i);
      } else {
        std::memcpy(out_ + i, from + i, static_cast<std::size_t>(n - i));
      }
    }
    out_ += n;
  }

  void pad(std::int64_t n) {
    std::memset(out_, padding_, static_cast<std::size_t>(n));
    out_ += n;
  }

  void finish() {
    length_ = out_ - begin_;
    while ((out_ - begin_) % 4 != 0) *out_++ = std::byte{0};
  }

  [[nodiscard]] std::int32_t sum() const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(begin_);
    __m256i sums = _mm256_setzero_si256();
    std::int64_t i = 0;
    for (; i + 32 <= length_; i += 32) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + i));
      sums = _mm256_add_epi64(sums, _mm256_sad_epu8(x, _mm256_setzero_si256()));
    }
    const __m128i halves =
        _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    std::int64_t total = _mm_extract_epi64(halves, 0) + _mm_extract_epi64(halves, 1);
    for (; i < length_; ++i) total += bytes[i];
    return static_cast<std::int32_t>(total);
  }

 private:
  void store(std::int64_t i, const std::uint8_t* from) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out_ + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }

  const std::uint8_t* end_;
  std::byte* begin_;
  std::byte* out_;
  std::int64_t length_ = 0;
  std::int32_t padding_;
};

void gather_u8(const IgemmGather& from, std::int64_t first, std::int64_t count, std::byte* rows,
               std::int64_t row_stride, std::int32_t* row_sums) noexcept {
  gather_rows<ByteRow>(from, first, count, rows, row_stride, row_sums);
}

// kVectors: vectors of columns that hold any of the tile's columns; the panel has 2.
template <typename Lanes, int kRows, int kVectors>
void tile_u8s8(const IgemmTile& tile) {
  using Vector = typename Lanes::Vector;
  constexpr int kNr = 2 * Lanes::kCount;
  Vector acc[static_cast<unsigned>(kRows)][static_cast<unsigned>(kVectors)];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    const std::int32_t row_init = tile.row_init != nullptr ? tile.row_init[i] : 0;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const int column = v * Lanes::kCount;
      acc[i][v] = tile.first ? Lanes::add(Lanes::load(tile.init + column), Lanes::set1(row_init))
                             : Lanes::load(tile.partial + i * kNr + column);
    }
  }
  const std::byte* a = tile.a;
  const std::byte* b = tile.b;
  for (std::int64_t d = 0; d < tile.depth; ++d, a += 4, b += kNr * 4) {
    Vector weights[static_cast<unsigned>(kVectors)];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) weights[v] = Lanes::load(b + v * Lanes::kCount * 4);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      std::int32_t bytes;
      std::memcpy(&bytes, a + i * tile.a_stride, sizeof(bytes));
      const Vector x = Lanes::set1(bytes);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) Lanes::dot(acc[i][v], x, weights[v]);
    }
  }
  if (!tile.last) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        Lanes::store(tile.partial + i * kNr + v * Lanes::kCount, acc[i][v]);
      }
    }
    return;
  }
  constexpr int kParts = Lanes::kCount / kRegisterFloats;
  finish_tile<kRows, kVectors * kParts>(tile, kNr, [&](int i, int part) {
    return Lanes::part(acc[i][part / kParts], part % kParts);
  });
}

template <typename Lanes, int kVectors, int kRows>
void tile_u8s8_rows(const IgemmTile& tile) {
  if constexpr (kRows > 1) {
    if (tile.rows < kRows) return tile_u8s8_rows<Lanes, kVectors, kRows - 1>(tile);
  }
  tile_u8s8<Lanes, kRows, kVectors>(tile);
}

template <typename Lanes>
void tile_u8s8_columns(const IgemmTile& tile) noexcept {
  tile.columns > Lanes::kCount ? tile_u8s8_rows<Lanes, 2, Lanes::kRows>(tile)
                               : tile_u8s8_rows<Lanes, 1, Lanes::kRows>(tile);
}

}  // namespace
}  // namespace enn

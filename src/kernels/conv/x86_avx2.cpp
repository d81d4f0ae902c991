#include "kernels/x86_avx2.hpp"

#include "kernels/conv/conv_tables.hpp"
#include "kernels/conv/igemm_gather.hpp"
#include "kernels/conv/x86_depthwise.hpp"
#include "kernels/conv/x86_epilogue.hpp"

namespace enn {
namespace {

constexpr std::int64_t kNr = 16;

struct PairBytes {
  char bytes[4];
};

// int16 rows of x - input_zero_point.
class WidenedRow {
 public:
  WidenedRow(const IgemmGather& from, std::byte* begin)
      : end_(from.input_end),
        zero_point_(_mm256_set1_epi16(static_cast<std::int16_t>(from.input_zero_point))),
        out_(reinterpret_cast<std::int16_t*>(begin)),
        odd_((from.geometry.kernel_h * from.geometry.kernel_w *
                  (from.geometry.in_c / from.geometry.groups) &
              1) != 0) {}

  // Writes whole vectors: what lies behind the n elements is overwritten by what follows.
  void copy(const std::uint8_t* from, std::int64_t n) {
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16)
      store(i, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
    if (i < n) {
      store(i, end_ - (from + i) >= 16 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))
                                       : load_partial(from + i, n - i));
    }
    out_ += n;
  }

  void pad(std::int64_t n) {
    std::memset(out_, 0, static_cast<std::size_t>(n) * sizeof(std::int16_t));
    out_ += n;
  }

  void finish() {
    if (odd_) *out_ = 0;
  }

  // Only rows of U8S8 have a use for it.
  [[nodiscard]] std::int32_t sum() const { return 0; }

 private:
  void store(std::int64_t i, __m128i bytes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out_ + i),
                        _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), zero_point_));
  }

  const std::uint8_t* end_;
  __m256i zero_point_;
  std::int16_t* out_;
  bool odd_;
};

void gather_s16(const IgemmGather& from, std::int64_t first, std::int64_t count, std::byte* rows,
                std::int64_t row_stride, std::int32_t* row_sums) noexcept {
  gather_rows<WidenedRow>(from, first, count, rows, row_stride, row_sums);
}

// acc[v] += madd(x, weights[v]), x the pair of int16 at `pair` in every lane. In assembly because
// compilers keep more products alive than there are registers, and spill accumulators in the inner
// loop.
template <int kVectors>
inline void multiply_add(__m256i* acc, const std::byte* pair, const __m256i* weights) {
  __m256i x;
  if constexpr (kVectors == 1) {
    asm("vpbroadcastd %[pair], %[x]\n\t"
        "vpmaddwd %[w0], %[x], %[x]\n\t"
        "vpaddd %[x], %[acc0], %[acc0]"
        : [acc0] "+x"(acc[0]), [x] "=&x"(x)
        : [pair] "m"(*reinterpret_cast<const PairBytes*>(pair)), [w0] "x"(weights[0]));
  } else {
    __m256i product;
    asm("vpbroadcastd %[pair], %[x]\n\t"
        "vpmaddwd %[w0], %[x], %[product]\n\t"
        "vpmaddwd %[w1], %[x], %[x]\n\t"
        "vpaddd %[product], %[acc0], %[acc0]\n\t"
        "vpaddd %[x], %[acc1], %[acc1]"
        : [acc0] "+x"(acc[0]), [acc1] "+x"(acc[1]), [x] "=&x"(x), [product] "=&x"(product)
        : [pair] "m"(*reinterpret_cast<const PairBytes*>(pair)), [w0] "x"(weights[0]),
          [w1] "x"(weights[1]));
  }
}

// kVectors: vectors of 8 columns that hold any of the tile's columns.
template <int kRows, int kVectors>
void tile_s16(const IgemmTile& tile) {
  __m256i acc[static_cast<unsigned>(kRows)][static_cast<unsigned>(kVectors)];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      acc[i][v] =
          tile.first
              ? _mm256_setzero_si256()
              : _mm256_load_si256(reinterpret_cast<const __m256i*>(tile.partial + i * kNr + v * 8));
    }
  }
  const std::byte* b = tile.b;
  const std::byte* a[static_cast<unsigned>(kRows)];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) a[i] = tile.a + i * tile.a_stride;
  for (std::int64_t d = 0; d < tile.depth; ++d) {
    __m256i weights[static_cast<unsigned>(kVectors)];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + v * 32));
    }
    b += kNr * 4;
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) multiply_add<kVectors>(acc[i], a[i] + d * 4, weights);
  }
  if (!tile.last) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(tile.partial + i * kNr + v * 8), acc[i][v]);
      }
    }
    return;
  }
  finish_tile<kRows, kVectors>(
      tile, kNr, [&](int i, int v) __attribute__((always_inline)) { return acc[i][v]; });
}

template <int kVectors>
void tile_s16_rows(const IgemmTile& tile) {
  switch (tile.rows) {
    case 1:
      return tile_s16<1, kVectors>(tile);
    case 2:
      return tile_s16<2, kVectors>(tile);
    case 3:
      return tile_s16<3, kVectors>(tile);
    case 4:
      return tile_s16<4, kVectors>(tile);
    case 5:
      return tile_s16<5, kVectors>(tile);
    default:
      return tile_s16<6, kVectors>(tile);
  }
}

void tile_s16_6x16c2(const IgemmTile& tile) noexcept {
  tile.columns > 8 ? tile_s16_rows<2>(tile) : tile_s16_rows<1>(tile);
}

// In assembly for the same reason.
struct MultiplyAdd {
  static __m256i dot(__m256i acc, __m256i x, __m256i w) {
    asm("vpmaddwd %[w], %[x], %[x]\n\t"
        "vpaddd %[x], %[acc], %[acc]"
        : [acc] "+x"(acc), [x] "+x"(x)
        : [w] "xm"(w));
    return acc;
  }
};

}  // namespace

const IgemmKernel igemm_u8_s8_u8_6x16c2_avx2 = {
    6, kNr, 2, IgemmOperands::S16, gather_s16, tile_s16_6x16c2};
const DepthwiseKernel depthwise_u8_s8_u8_1x32_avx2 = {32, kDepthwiseOrder,
                                                      depthwise_row<MultiplyAdd>};

}  // namespace enn

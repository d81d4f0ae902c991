#include "kernels/x86_avx2.hpp"

#include "kernels/quantize/quantize.hpp"

namespace enn {
namespace {

// The scalar kernels' arithmetic on 8 lanes.
class Quantizer {
 public:
  explicit Quantizer(const QuantizeParams& params)
      : inv_scale_(_mm256_set1_ps(params.inv_scale)),
        low_(_mm256_set1_ps(static_cast<float>(params.quant_min - params.zero_point))),
        high_(_mm256_set1_ps(static_cast<float>(params.quant_max - params.zero_point))),
        zero_point_(_mm256_set1_epi32(params.zero_point)) {}

  // 16 floats to 16 bytes; int8 keeps its low byte.
  [[nodiscard]] __m128i bytes(__m256 first, __m256 second) const {
    const __m256i mask = _mm256_set1_epi32(255);
    return pack_u8(_mm256_and_si256(lanes(first), mask), _mm256_and_si256(lanes(second), mask));
  }
  [[nodiscard]] __m128i bytes(const float* in) const {
    return bytes(_mm256_loadu_ps(in), _mm256_loadu_ps(in + 8));
  }
  // n values in the low bytes, 1 <= n <= 16.
  [[nodiscard]] __m128i partial(const float* in, std::int64_t n) const {
    if (n == 16) return bytes(in);
    alignas(32) float buffer[16] = {};
    std::memcpy(buffer, in, static_cast<std::size_t>(n) * sizeof(float));
    return bytes(buffer);
  }

 private:
  [[nodiscard]] __m256i lanes(__m256 x) const {
    return round_and_clamp8(_mm256_mul_ps(x, inv_scale_), low_, high_, zero_point_);
  }

  __m256 inv_scale_;
  __m256 low_;
  __m256 high_;
  __m256i zero_point_;
};

void quantize_run(const Quantizer& quantizer, const float* in, std::uint8_t* out, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), quantizer.bytes(in + i));
  }
  if (i < n) store_partial(out + i, quantizer.partial(in + i, n - i), n - i);
}

// Three planes of 16 values to 16 interleaved triples, 48 bytes.
inline void interleave3(__m128i x, __m128i y, __m128i z, std::uint8_t* out) {
  const auto spread = [](__m128i v, int phase) {
    // Byte i of part `p` is value (16 p + i - phase) / 3 where that divides, else zero.
    alignas(16) static constexpr std::int8_t kIndex[3][3][16] = {
        {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
         {-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
         {-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1}},
        {{-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
         {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
         {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1}},
        {{-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1},
         {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1},
         {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}}};
    struct Parts {
      __m128i part[3];
    };
    Parts parts;
    for (int p = 0; p < 3; ++p) {
      parts.part[p] =
          _mm_shuffle_epi8(v, _mm_load_si128(reinterpret_cast<const __m128i*>(kIndex[phase][p])));
    }
    return parts;
  };
  const auto a = spread(x, 0);
  const auto b = spread(y, 1);
  const auto c = spread(z, 2);
  for (int p = 0; p < 3; ++p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + p * 16),
                     _mm_or_si128(_mm_or_si128(a.part[p], b.part[p]), c.part[p]));
  }
}

// Rows are neighbours in the input: quantize 16 rows of each column, then write them across.
void quantize_columns(const Quantizer& quantizer, const Block& block, const float* in,
                      std::uint8_t* out) {
  const std::int64_t columns = block.columns;
  std::int64_t i = 0;
  if (columns == 3) {
    for (; i + 16 <= block.rows; i += 16) {
      interleave3(quantizer.bytes(in + i), quantizer.bytes(in + block.column_stride + i),
                  quantizer.bytes(in + 2 * block.column_stride + i), out + i * 3);
    }
  }
  alignas(16) std::uint8_t tile[16][16];
  for (; i < block.rows; i += 16) {
    const std::int64_t rows = block.rows - i < 16 ? block.rows - i : 16;
    for (std::int64_t j = 0; j < columns; j += 16) {
      const std::int64_t count = columns - j < 16 ? columns - j : 16;
      for (std::int64_t c = 0; c < count; ++c) {
        _mm_store_si128(reinterpret_cast<__m128i*>(tile[c]),
                        quantizer.partial(in + (j + c) * block.column_stride + i, rows));
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        std::uint8_t* line = out + (i + r) * columns + j;
        for (std::int64_t c = 0; c < count; ++c) line[c] = tile[c][r];
      }
    }
  }
}

}  // namespace

void quantize_f32_avx2(const QuantizeParams& params, const Block& block, const float* in,
                       std::uint8_t* out) noexcept {
  const Quantizer quantizer(params);
  if (block.column_stride == 1 || block.columns == 1) {
    if (block.columns == 1 && block.row_stride == 1) {
      return quantize_run(quantizer, in, out, block.rows);
    }
    for (std::int64_t i = 0; i < block.rows; ++i) {
      quantize_run(quantizer, in + i * block.row_stride, out + i * block.columns, block.columns);
    }
    return;
  }
  if (block.row_stride == 1) return quantize_columns(quantizer, block, in, out);
  quantize_f32_reference(params, block, in, out);
}

void dequantize_f32_avx2(const DequantizeParams& params, const Block& block, const std::uint8_t* in,
                         float* out) noexcept {
  if (block.column_stride != 1) return dequantize_f32_reference(params, block, in, out);
  const __m256 scale = _mm256_set1_ps(params.scale);
  const __m256i zero_point = _mm256_set1_epi32(params.zero_point);
  const auto real = [&](__m128i bytes) {
    const __m256i q = params.is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(q, zero_point)), scale);
  };
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::uint8_t* line = in + i * block.row_stride;
    float* result = out + i * block.columns;
    std::int64_t j = 0;
    for (; j + 8 <= block.columns; j += 8) {
      _mm256_storeu_ps(result + j,
                       real(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + j))));
    }
    if (j < block.columns) {
      alignas(32) float buffer[8];
      _mm256_store_ps(buffer, real(load_partial(line + j, block.columns - j)));
      std::memcpy(result + j, buffer, static_cast<std::size_t>(block.columns - j) * sizeof(float));
    }
  }
}

}  // namespace enn

#include "kernels/x86_avx2.hpp"

#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {
namespace {

// Eight output channels of one pixel, the first at `column` of its group; each lane runs the
// reference's sequence of fused multiply-adds. `columns` of the lanes are wanted, 1 … 8.
void compute_lanes(const ConvF32Args& args, const float* image, std::int64_t h0, std::int64_t w0,
                   std::int64_t group, std::int64_t column, std::int64_t columns, float* out) {
  const ConvGeometry& g = args.geometry;
  const std::int64_t cg = g.in_c / g.groups;
  const std::int64_t kg = g.out_c / g.groups;
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i mask =
      _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(columns)), lane);
  const float* weight = args.packed_weight + group * g.kernel_h * g.kernel_w * cg * kg + column;
  __m256 acc = _mm256_maskload_ps(args.bias + group * kg + column, mask);
  for (std::int64_t r = 0; r < g.kernel_h; ++r) {
    const std::int64_t h = h0 + r * g.dilation_h;
    if (h < 0 || h >= g.in_h) continue;
    for (std::int64_t s = 0; s < g.kernel_w; ++s) {
      const std::int64_t w = w0 + s * g.dilation_w;
      if (w < 0 || w >= g.in_w) continue;
      const float* x = image + (h * g.in_w + w) * g.in_c + group * cg;
      const float* y = weight + (r * g.kernel_w + s) * cg * kg;
      for (std::int64_t c = 0; c < cg; ++c) {
        acc = _mm256_fmadd_ps(_mm256_set1_ps(x[c]), _mm256_maskload_ps(y + c * kg, mask), acc);
      }
    }
  }
  acc = _mm256_max_ps(acc, _mm256_set1_ps(args.activation_min));
  acc = _mm256_min_ps(acc, _mm256_set1_ps(args.activation_max));
  _mm256_maskstore_ps(out, mask, acc);
}

}  // namespace

void conv_f32_avx2(const ConvF32Args& args, std::int64_t begin, std::int64_t end) noexcept {
  const ConvGeometry& g = args.geometry;
  const std::int64_t kg = g.out_c / g.groups;
  for (std::int64_t pixel = begin; pixel < end; ++pixel) {
    const std::int64_t n = pixel / (g.out_h * g.out_w);
    const std::int64_t h0 = pixel / g.out_w % g.out_h * g.stride_h - g.pad_top;
    const std::int64_t w0 = pixel % g.out_w * g.stride_w - g.pad_left;
    const float* image = args.input + n * g.in_h * g.in_w * g.in_c;
    for (std::int64_t group = 0; group < g.groups; ++group) {
      for (std::int64_t column = 0; column < kg; column += 8) {
        compute_lanes(args, image, h0, w0, group, column, kg - column < 8 ? kg - column : 8,
                      args.output + pixel * g.out_c + group * kg + column);
      }
    }
  }
}

}  // namespace enn

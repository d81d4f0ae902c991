#include "kernels/conv_f32/conv_f32.hpp"

#include <algorithm>

#include "kernels/kernel_row.hpp"
#include "kernels/split.hpp"

namespace enn {

#define ENN_GEMM(name, ...) void name(const ConvF32Args& args, const ConvF32Part& part) noexcept;
#define ENN_DEPTHWISE(name, ...) ENN_GEMM(name)
#define ENN_REFERENCE(name) ENN_GEMM(name)
#include "kernels/conv_f32/kernels.def"
#undef ENN_GEMM
#undef ENN_DEPTHWISE
#undef ENN_REFERENCE

namespace {

using enum CpuFeature;

#define ENN_GEMM(name, rows, columns, lanes, ...) \
  {#name, needs(__VA_ARGS__), false, rows, columns, lanes, name},
#define ENN_DEPTHWISE(name, rows, ...) {#name, needs(__VA_ARGS__), true, rows, 1, 1, name},
#define ENN_REFERENCE(name) {#name, CpuFeatures{}, false, 1, 1, 1, name},
constexpr ConvF32Kernel kConvF32Kernels[] = {
#include "kernels/conv_f32/kernels.def"
};
#undef ENN_GEMM
#undef ENN_DEPTHWISE
#undef ENN_REFERENCE

// Of a row of weights, packed together: a cache line.
constexpr std::int64_t kBlock = 16;

std::int64_t panels_of_group(const ConvF32Kernel& kernel, const ConvGeometry& g) {
  return ceil_div(g.group_out(), kernel.columns);
}

std::int64_t group_columns(const ConvF32Kernel& kernel, const ConvGeometry& g) {
  const std::int64_t whole = (panels_of_group(kernel, g) - 1) * kernel.columns;
  return whole + conv_f32_panel_width(g.group_out() - whole, kernel.columns, kernel.lanes);
}

}  // namespace

std::span<const ConvF32Kernel> conv_f32_kernels() { return kConvF32Kernels; }

bool takes(const ConvF32Kernel& kernel, const ConvGeometry& geometry) {
  return !kernel.depthwise ||
         (geometry.groups == geometry.in_c && geometry.groups == geometry.out_c);
}

const ConvF32Kernel& best_conv_f32(const ConvGeometry& geometry, CpuFeatures features) {
  const ConvF32Kernel* kernel = kConvF32Kernels;
  while (!features.contains(kernel->needs) || !takes(*kernel, geometry)) ++kernel;
  return *kernel;
}

std::int64_t conv_f32_panels(const ConvF32Kernel& kernel, const ConvGeometry& g) {
  return kernel.depthwise ? 1 : g.groups * panels_of_group(kernel, g);
}

std::int64_t conv_f32_packed_size(const ConvF32Kernel& kernel, const ConvGeometry& g) {
  const std::int64_t columns = kernel.depthwise ? g.out_c : g.groups * group_columns(kernel, g);
  return g.in_c + g.depth() * columns;
}

void pack_conv_f32_weight(const ConvF32Kernel& kernel, const ConvGeometry& g, const float* weight,
                          float* packed) {
  std::fill_n(packed, g.in_c, 0.0F);
  packed += g.in_c;
  const std::int64_t depth = g.depth();
  if (kernel.depthwise) {
    for (std::int64_t k = 0; k < g.out_c; ++k) {
      for (std::int64_t i = 0; i < depth; ++i) packed[i * g.out_c + k] = weight[k * depth + i];
    }
    return;
  }
  for (std::int64_t group = 0; group < g.groups; ++group) {
    for (std::int64_t first = 0; first < g.group_out(); first += kernel.columns) {
      const std::int64_t left = g.group_out() - first;
      const std::int64_t width = conv_f32_panel_width(left, kernel.columns, kernel.lanes);
      const std::int64_t wanted = std::min(left, width);
      const float* from = weight + (group * g.group_out() + first) * depth;
      if (wanted < width) std::fill_n(packed, depth * width, 0.0F);
      for (std::int64_t i = 0; i < depth; i += kBlock) {
        const std::int64_t end = std::min(i + kBlock, depth);
        for (std::int64_t k = 0; k < wanted; ++k) {
          for (std::int64_t d = i; d < end; ++d) packed[d * width + k] = from[k * depth + d];
        }
      }
      packed += depth * width;
    }
  }
}

void run_conv_f32(const ConvF32Kernel& kernel, const ConvF32Args& args,
                  Parallel& parallel) noexcept {
  const ConvGeometry& g = args.geometry;
  const std::int64_t pixels = g.pixels();
  const std::int64_t panels = conv_f32_panels(kernel, g);
  const std::int64_t tiles = ceil_div(pixels, kernel.rows);
  const std::int64_t products = g.out_c * g.depth();
  // Threads share out the pixels or, where there are few of them to much weight, the panels.
  const std::int64_t threads = parallel.thread_count();
  const bool is_image = tiles >= 8 * threads && pixels * g.in_c >= g.out_c * g.depth();
  if (is_image || panels < 2 * threads) {
    split(parallel, tiles, products * kernel.rows, [&](std::int64_t begin, std::int64_t end) {
      kernel.run(args, {begin * kernel.rows, std::min(end * kernel.rows, pixels), 0, panels});
    });
    return;
  }
  split(parallel, panels, products / panels * pixels,
        [&](std::int64_t begin, std::int64_t end) { kernel.run(args, {0, pixels, begin, end}); });
}

}  // namespace enn

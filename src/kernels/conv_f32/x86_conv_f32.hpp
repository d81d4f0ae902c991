// The float convolution over vectors of an instruction set, which the source that includes this has
// defined before in the same anonymous namespace: Vector, kLanes, kTileRows, kTileVectors,
// broadcast, load, load_first and store_first (of n lanes, 0 <= n), fma, minimum and maximum (a NaN
// in the first operand gives the second).
#pragma once

namespace enn {
namespace {

// Pointers to pixels that are kept at a time.
constexpr std::int64_t kPointers = 2048;
constexpr std::int64_t kMaxTilesPerBlock = 16;

// Taps [begin, end) of the window of consecutive output pixels: pointers[tap][row] is the input
// pixel under it, or zeros outside the input.
void find_pixels(const ConvF32Args& args, std::int64_t pixel, std::int64_t rows, std::int64_t begin,
                 std::int64_t end, std::int64_t stride, const float** pointers) {
  const ConvGeometry& g = args.geometry;
  std::int64_t q = pixel % g.out_w;
  std::int64_t p = pixel / g.out_w % g.out_h;
  std::int64_t n = pixel / (g.out_w * g.out_h);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* image = args.input + n * g.in_h * g.in_w * g.in_c;
    const std::int64_t h0 = p * g.stride_h - g.pad_top;
    const std::int64_t w0 = q * g.stride_w - g.pad_left;
    std::int64_t r = begin / g.kernel_w;
    std::int64_t s = begin % g.kernel_w;
    for (std::int64_t tap = begin; tap < end; ++tap) {
      const std::int64_t h = h0 + r * g.dilation_h;
      const std::int64_t w = w0 + s * g.dilation_w;
      const bool inside = h >= 0 && h < g.in_h && w >= 0 && w < g.in_w;
      pointers[(tap - begin) * stride + row] =
          inside ? image + (h * g.in_w + w) * g.in_c : args.packed_weight;
      if (++s == g.kernel_w) {
        s = 0;
        ++r;
      }
    }
    if (++q == g.out_w) {
      q = 0;
      if (++p == g.out_h) {
        p = 0;
        ++n;
      }
    }
  }
}

// A run of taps for a tile of the result.
struct ConvF32Tile {
  const float* const* pointers = nullptr;  // [taps][stride]
  std::int64_t stride = 0;
  std::int64_t taps = 0;
  std::int64_t channel_begin = 0, channel_end = 0;  // of the input
  const float* weight = nullptr;                    // of the first of the taps
  const float* bias = nullptr;
  bool first = true, last = true;  // taps of the window
  std::int64_t columns = 0;        // that are wanted
  float low = 0, high = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
};

template <int kRows, int kVectors>
__attribute__((noinline)) void run_tile(const ConvF32Tile& tile, std::int64_t row) {
  Vector acc[static_cast<unsigned>(kRows)][static_cast<unsigned>(kVectors)];
  float* const out = tile.out + row * tile.out_stride;
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      acc[i][v] = load_first((tile.first ? tile.bias : out + i * tile.out_stride) + v * kLanes,
                             tile.columns - v * kLanes);
    }
  }
  const float* const* pointers = tile.pointers + row;
  const float* weight = tile.weight;
  for (std::int64_t tap = 0; tap < tile.taps; ++tap, pointers += tile.stride) {
    for (std::int64_t c = tile.channel_begin; c < tile.channel_end; ++c) {
      Vector w[static_cast<unsigned>(kVectors)];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = load(weight + v * kLanes);
      weight += kVectors * kLanes;
#pragma GCC unroll 6
      for (int i = 0; i < kRows; ++i) {
        const Vector x = broadcast(pointers[i] + c);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) acc[i][v] = fma(x, w[v], acc[i][v]);
      }
    }
  }
  const Vector low = broadcast(&tile.low);
  const Vector high = broadcast(&tile.high);
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      if (tile.last) acc[i][v] = minimum(maximum(acc[i][v], low), high);
      store_first(out + i * tile.out_stride + v * kLanes, tile.columns - v * kLanes, acc[i][v]);
    }
  }
}

template <int kVectors>
void run_rows(const ConvF32Tile& tile, std::int64_t row, std::int64_t end) {
  for (; row < end;) {
    const std::int64_t left = end - row;
    if (left >= kTileRows) {
      run_tile<kTileRows, kVectors>(tile, row);
      row += kTileRows;
    } else if (left >= kTileRows / 2) {
      run_tile<kTileRows / 2, kVectors>(tile, row);
      row += kTileRows / 2;
    } else if (left >= 2) {
      run_tile<2, kVectors>(tile, row);
      row += 2;
    } else {
      run_tile<1, kVectors>(tile, row);
      row += 1;
    }
  }
}

// One panel of `vectors`, 1 … kVectors, for consecutive pixels whose pointers are in tiles of
// kTileRows.
template <int kVectors>
void run_panel(ConvF32Tile tile, std::int64_t tile_pointers, std::int64_t pixels,
               std::int64_t vectors) {
  if constexpr (kVectors > 1) {
    if (vectors < kVectors) return run_panel<kVectors - 1>(tile, tile_pointers, pixels, vectors);
  }
  for (std::int64_t at = 0; at < pixels; at += kTileRows) {
    const std::int64_t rows = pixels - at < kTileRows ? pixels - at : kTileRows;
    run_rows<kVectors>(tile, 0, rows);
    tile.pointers += tile_pointers;
    tile.out += kTileRows * tile.out_stride;
  }
}

void run_gemm(const ConvF32Args& args, const ConvF32Part& part) {
  const ConvGeometry& g = args.geometry;
  constexpr std::int64_t kColumns = kTileVectors * kLanes;
  const std::int64_t taps = g.kernel_h * g.kernel_w;
  const std::int64_t cg = g.in_c / g.groups;
  const std::int64_t kg = g.out_c / g.groups;
  const std::int64_t depth = taps * cg;
  const std::int64_t panels_of_group = (kg + kColumns - 1) / kColumns;
  const std::int64_t rest = kg - (panels_of_group - 1) * kColumns;
  const std::int64_t group_columns =
      (panels_of_group - 1) * kColumns + conv_f32_panel_width(rest, kColumns, kLanes);
  const std::int64_t chunk = taps < kPointers / kTileRows ? taps : kPointers / kTileRows;
  const std::int64_t tile_pointers = chunk * kTileRows;
  std::int64_t block = kPointers / tile_pointers;
  block = kTileRows * (block < kMaxTilesPerBlock ? block : kMaxTilesPerBlock);
  const float* pointers[kPointers];
  for (std::int64_t pixel = part.pixel_begin; pixel < part.pixel_end; pixel += block) {
    const std::int64_t pixels = part.pixel_end - pixel < block ? part.pixel_end - pixel : block;
    for (std::int64_t tap = 0; tap < taps; tap += chunk) {
      const std::int64_t tap_end = taps - tap < chunk ? taps : tap + chunk;
      for (std::int64_t at = 0; at < pixels; at += kTileRows) {
        find_pixels(args, pixel + at, pixels - at < kTileRows ? pixels - at : kTileRows, tap,
                    tap_end, kTileRows, pointers + at * chunk);
      }
      for (std::int64_t panel = part.panel_begin; panel < part.panel_end; ++panel) {
        const std::int64_t group = panel / panels_of_group;
        const std::int64_t column = panel % panels_of_group * kColumns;
        const std::int64_t width = conv_f32_panel_width(kg - column, kColumns, kLanes);
        ConvF32Tile tile;
        tile.pointers = pointers;
        tile.stride = kTileRows;
        tile.taps = tap_end - tap;
        tile.channel_begin = group * cg;
        tile.channel_end = tile.channel_begin + cg;
        tile.weight = args.packed_weight + g.in_c + (group * group_columns + column) * depth +
                      tap * cg * width;
        tile.bias = args.bias + group * kg + column;
        tile.first = tap == 0;
        tile.last = tap_end == taps;
        tile.columns = kg - column < width ? kg - column : width;
        tile.low = args.activation_min;
        tile.high = args.activation_max;
        tile.out = args.output + pixel * g.out_c + group * kg + column;
        tile.out_stride = g.out_c;
        run_panel<kTileVectors>(tile, tile_pointers, pixels, width / kLanes);
      }
    }
  }
}

// kPixels pixels: one vector of channels after the other.
template <int kPixels>
void run_depthwise_pixels(const ConvF32Tile& tile, std::int64_t channels) {
  const Vector low = broadcast(&tile.low);
  const Vector high = broadcast(&tile.high);
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    const std::int64_t n = channels - c;
    Vector acc[static_cast<unsigned>(kPixels)];
#pragma GCC unroll 8
    for (int i = 0; i < kPixels; ++i) {
      acc[i] = load_first((tile.first ? tile.bias : tile.out + i * tile.out_stride) + c, n);
    }
    const float* const* pointers = tile.pointers;
    const float* weight = tile.weight + c;
    for (std::int64_t tap = 0; tap < tile.taps; ++tap, pointers += tile.stride) {
      const Vector w = load_first(weight, n);
#pragma GCC unroll 8
      for (int i = 0; i < kPixels; ++i) acc[i] = fma(load_first(pointers[i] + c, n), w, acc[i]);
      weight += channels;
    }
#pragma GCC unroll 8
    for (int i = 0; i < kPixels; ++i) {
      if (tile.last) acc[i] = minimum(maximum(acc[i], low), high);
      store_first(tile.out + i * tile.out_stride + c, n, acc[i]);
    }
  }
}

void run_depthwise(const ConvF32Args& args, const ConvF32Part& part) {
  constexpr int kPixels = 8;
  const ConvGeometry& g = args.geometry;
  const std::int64_t taps = g.kernel_h * g.kernel_w;
  const std::int64_t chunk = taps < kPointers / kPixels ? taps : kPointers / kPixels;
  const float* pointers[kPointers];
  for (std::int64_t pixel = part.pixel_begin; pixel < part.pixel_end;) {
    const std::int64_t pixels = part.pixel_end - pixel < kPixels ? 1 : kPixels;
    for (std::int64_t tap = 0; tap < taps; tap += chunk) {
      const std::int64_t tap_end = taps - tap < chunk ? taps : tap + chunk;
      find_pixels(args, pixel, pixels, tap, tap_end, kPixels, pointers);
      ConvF32Tile tile;
      tile.pointers = pointers;
      tile.stride = kPixels;
      tile.taps = tap_end - tap;
      tile.weight = args.packed_weight + g.in_c + tap * g.out_c;
      tile.bias = args.bias;
      tile.first = tap == 0;
      tile.last = tap_end == taps;
      tile.low = args.activation_min;
      tile.high = args.activation_max;
      tile.out = args.output + pixel * g.out_c;
      tile.out_stride = g.out_c;
      pixels == 1 ? run_depthwise_pixels<1>(tile, g.out_c)
                  : run_depthwise_pixels<kPixels>(tile, g.out_c);
    }
    pixel += pixels;
  }
}

}  // namespace
}  // namespace enn

// The residual and the function in the epilogues of the x86 kernels. Included by ISA sources only.
#pragma once

#include <type_traits>
#include <utility>

#include "kernels/conv/function.hpp"
#include "kernels/conv/igemm.hpp"
#include "kernels/x86_registers.hpp"

namespace enn {
namespace {

inline Floats32 exp2_32(Floats32 t) {
  t = max(t, splat32(kExp2Minimum));
  const Floats32 integer = t + splat32(kRounding);
  const Floats32 r = t - (integer - splat32(kRounding));
  Floats32 sum = splat32(kExp2Terms[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) sum = fma(sum, r, splat32(kExp2Terms[i]));
  return scale_by_power(sum, integer);
}

template <ConvGate kGate>
inline Floats32 log2_odds_against32(const Floats32& x) {
  if constexpr (kGate == ConvGate::Logistic) {
    return x * splat32(-kLog2E);
  } else if constexpr (kGate == ConvGate::CubicLogistic) {
    constexpr float kFactor = kTwoSqrtTwoOverPi * -kLog2E;
    return x * fma(x * x, splat32(kFactor * kGeluCubic), splat32(kFactor));
  } else {
    const Floats32 u = min(x * x, splat32(kNormalOddsEnd));
    Floats32 sum = splat32(kNormalOdds[0]);
#pragma GCC unroll 6
    for (int i = 1; i < 7; ++i) sum = fma(sum, u, splat32(kNormalOdds[i]));
    return x * sum;
  }
}

// `slopes` of ConvGate::Slope, one for each lane.
template <ConvGate kGate>
inline Floats32 apply32(const ConvFunction& f, const Floats32& slopes, Floats32 v) {
  const Floats32 one = splat32(1.0F);
  v = max(v, splat32(f.floor));
  const Floats32 factor = f.multiplies ? v : splat32(f.unit);
  const Floats32 x = v * splat32(f.step);
  if constexpr (kGate == ConvGate::Slope) {
    return factor * where_positive(v, one, slopes);
  } else if constexpr (kGate == ConvGate::Hard) {
    const Floats32 line = fma(x, splat32(1.0F / 6.0F), splat32(0.5F));
    return factor * min(max(line, splat32(0.0F)), one);
  } else {
    return factor / (one + exp2_32(log2_odds_against32<kGate>(x)));
  }
}

template <ConvGate kGate>
inline void apply_each(const ConvFunction& f, const float* slopes, float* values,
                       std::int64_t count) {
  const ConvFunction function = f;
  const Floats32 lanes = slopes != nullptr ? load32(slopes) : splat32(f.slope);
  for (std::int64_t i = 0; i < count; i += 32) {
    store32(values + i, apply32<kGate>(function, lanes, load32(values + i)));
  }
}

// function.hpp's apply() in place, to `count` values, a multiple of 32. `slopes`, unless null, are
// those of 32 values in a row.
[[gnu::noinline]] void apply_function(const ConvFunction& f, const float* slopes, float* values,
                                      std::int64_t count) {
  switch (f.gate) {
    case ConvGate::None:
      return;
    case ConvGate::Slope:
      return apply_each<ConvGate::Slope>(f, slopes, values, count);
    case ConvGate::Hard:
      return apply_each<ConvGate::Hard>(f, slopes, values, count);
    case ConvGate::Logistic:
      return apply_each<ConvGate::Logistic>(f, slopes, values, count);
    case ConvGate::Normal:
      return apply_each<ConvGate::Normal>(f, slopes, values, count);
    case ConvGate::CubicLogistic:
      return apply_each<ConvGate::CubicLogistic>(f, slopes, values, count);
  }
}

// fma(sum, multiplier, bias) and the residual, for the tile's columns of `row` from `column` on.
// The difference to the zero point is exact in float32.
[[gnu::always_inline]] inline Register scaled_sum(Integers sum, const IgemmTile& tile,
                                                  std::int64_t row, std::int64_t column) {
  const Register scaled =
      fma(to_floats(sum), load(tile.multiplier + column), load(tile.bias + column));
  const ConvResidual& residual = tile.residual;
  const std::int64_t left = tile.columns - column;
  if (residual.elements == nullptr || left <= 0) return scaled;
  const std::uint8_t* elements = residual.elements + row * tile.out_stride + column;
  const Register centred =
      load_bytes(elements, left) - splat(static_cast<float>(residual.zero_point));
  return fma(centred, splat(residual.multiplier), scaled);
}

// How a tile's results are rounded: values above the range are cut before, what saturates on the
// way to words lies below it or above. NaN gives the least.
struct TileRounding {
  explicit TileRounding(const IgemmTile& tile)
      : high(splat(tile.high)),
        zero_point(splat_words(static_cast<std::int16_t>(tile.zero_point))),
        minimum(splat_words(
            static_cast<std::int16_t>(static_cast<std::int32_t>(tile.low) + tile.zero_point))) {}

  [[nodiscard]] Integers words(Register a, Register b) const {
    const Integers packed = pack_words(to_integers(min(high, a)), to_integers(min(high, b)));
    return max_words(add_words(packed, zero_point), minimum);
  }

  Register high;
  Integers zero_point;
  Integers minimum;
};

// The results of two rows of the tile, of the columns of two registers from `column` on:
// value(row, i) has those of register i.
template <typename Value>
[[gnu::always_inline]] inline void store_two_rows(const IgemmTile& tile,
                                                  const TileRounding& rounding, int first,
                                                  int second, int column, const Value& value) {
  const Integers bytes =
      unpacked_order(pack_bytes(rounding.words(value(first, 0), value(first, 1)),
                                rounding.words(value(second, 0), value(second, 1))));
  const std::int64_t left = tile.columns - column;
  std::uint8_t* out = tile.out + column;
  store_bytes(out + first * tile.out_stride, first_half(bytes), left);
  store_bytes(out + second * tile.out_stride, second_half(bytes), left);
}

// The end of the epilogue of a tile with a function, whose sums lie in tile.partial as floats, `nr`
// of them a row, a multiple of 16. Apart from the tile, which is unrolled by rows.
[[gnu::noinline]] void finish_with_function(const IgemmTile& tile, int nr) {
  auto* sums = reinterpret_cast<float*>(tile.partial);
  const int rows = static_cast<int>(tile.rows);
  alignas(64) float slopes[32];
  if (tile.slopes != nullptr) {
    for (int i = 0; i < 32; ++i) slopes[i] = tile.slopes[i % nr];  // nr is 16 or 32
  }
  apply_function(tile.function, tile.slopes != nullptr ? slopes : nullptr, sums,
                 (rows * nr + 31) / 32 * 32);
  const TileRounding rounding(tile);
  for (int row = 0; row < rows; row += 2) {
    for (int column = 0; column < tile.columns; column += 2 * kRegisterFloats) {
      store_two_rows(
          tile, rounding, row, row + 1 < rows ? row + 1 : row, column,
          [&](int i, int v) { return load(sums + i * nr + column + v * kRegisterFloats); });
    }
  }
}

// body(0), …, body(kCount - 1) with constants.
template <int kCount, typename Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  [&]<int... kIndices>(std::integer_sequence<int, kIndices...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, kIndices>()), ...);
  }(std::make_integer_sequence<int, kCount>());
}

// The epilogue of a tile of kRows rows of kRegisters registers, of `nr` columns in tile.partial:
// sum(row, i) has the integers of register i. Indices are constants, so that the sums stay in
// registers all along.
template <int kRows, int kRegisters, typename Sum>
[[gnu::always_inline]] inline void finish_tile(const IgemmTile& tile, int nr, const Sum& sum) {
  const auto scaled = [&](int row, int i) __attribute__((always_inline)) {
    return scaled_sum(sum(row, i), tile, row, i * kRegisterFloats);
  };
  if (tile.function.gate != ConvGate::None) {
    auto* sums = reinterpret_cast<float*>(tile.partial);
    unrolled<kRows>([&](auto row) __attribute__((always_inline)) {
      unrolled<kRegisters>([&](auto i) __attribute__((always_inline)) {
        store(sums + row * nr + i * kRegisterFloats, scaled(row, i));
      });
    });
    return finish_with_function(tile, nr);
  }
  const TileRounding rounding(tile);
  unrolled<(kRows + 1) / 2>([&](auto pair) __attribute__((always_inline)) {
    constexpr int kRow = 2 * pair;
    constexpr int kSecond = kRow + 1 < kRows ? kRow + 1 : kRow;
    unrolled<(kRegisters + 1) / 2>([&](auto block) __attribute__((always_inline)) {
      constexpr int kLast = kRegisters - 1;
      constexpr int kFirst = 2 * block;
      store_two_rows(tile, rounding, kRow, kSecond, kFirst * kRegisterFloats,
                     [&](int row, int i) __attribute__((always_inline)) {
                       return scaled(row, kFirst + i < kLast ? kFirst + i : kLast);
                     });
    });
  });
}

}  // namespace
}  // namespace enn

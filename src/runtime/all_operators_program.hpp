// A small program with every table of the Operator union, for the runtime's tests and fuzzers.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/testing.hpp"

namespace enn::testing {

namespace internal {

template <typename T>
std::vector<T> pattern(std::size_t count, int modulus, int shift, T unit) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] =
        static_cast<T>(static_cast<T>(static_cast<int>(i * 37 % 251) % modulus - shift) * unit);
  }
  return values;
}

inline std::vector<std::int8_t> weights(std::size_t count) {
  return pattern<std::int8_t>(count, 251, 125, 1);
}

inline std::vector<float> floats(std::size_t count, float unit) {
  return pattern<float>(count, 31, 15, unit);
}

}  // namespace internal

// The image half: float32[1, 3, 8, 8] -> 8-bit NHWC -> float32[1, 8] and uint8[1, 8, 4, 4].
inline void add_quantized_half(ProgramMaker& maker) {
  using namespace program;
  const std::uint32_t x = maker.input(DType_Float32, {1, 3, 8, 8});
  const std::uint32_t image = maker.arena(DType_UInt8, {1, 8, 8, 3}, 0.05F, 128);
  QuantizeT quantize;
  quantize.input = x;
  quantize.output = image;
  quantize.perm = {0, 2, 3, 1};
  quantize.inv_scale = 20.0F;
  quantize.quant_min = 0;
  quantize.quant_max = 255;
  maker.step(quantize, "quantize");

  const std::uint32_t features = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.1F, 100);
  Conv2DT conv;
  conv.input = image;
  conv.weight = maker.constant(DType_Int8, {4, 3, 3, 3}, internal::weights(108));
  conv.multiplier = maker.constant(DType_Float32, {4}, std::vector<float>(4, 0.001F));
  conv.bias = maker.constant(DType_Float32, {4}, internal::floats(4, 0.5F));
  conv.output = features;
  conv.pad_top = 1;
  conv.pad_left = 1;
  conv.output_min = 3;
  maker.step(conv, "conv");

  const std::uint32_t small = maker.arena(DType_UInt8, {1, 4, 4, 4}, 0.2F, 90);
  Conv2DT depthwise;
  depthwise.input = features;
  depthwise.weight = maker.constant(DType_Int8, {4, 3, 3, 1}, internal::weights(36));
  depthwise.multiplier = conv.multiplier;
  depthwise.bias = conv.bias;
  depthwise.output = small;
  depthwise.groups = 4;
  depthwise.stride_h = 2;
  depthwise.stride_w = 2;
  depthwise.pad_top = 1;
  depthwise.pad_left = 1;
  depthwise.weight_zero_point = 3;
  maker.step(depthwise, "depthwise");

  const std::uint32_t activated = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.1F, 20);
  LutT lut;
  lut.input = features;
  lut.table = maker.constant(DType_UInt8, {256}, internal::pattern<std::uint8_t>(256, 251, 0, 1));
  lut.output = activated;
  maker.step(lut, "lut");

  const std::uint32_t sum = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.15F, 70);
  BinaryT add;
  add.kind = BinaryKind_Add;
  add.a = features;
  add.b = activated;
  add.output = sum;
  maker.step(add, "add");

  const std::uint32_t residual_sum = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.15F, 70);
  Conv2DT residual_conv = conv;
  residual_conv.output = residual_sum;
  residual_conv.residual = activated;
  residual_conv.residual_multiplier = 0.66F;
  maker.step(residual_conv, "residual_conv");

  const std::uint32_t gated = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.15F, 70);
  Conv2DT gated_conv = residual_conv;
  gated_conv.output = gated;
  gated_conv.function = UnaryKind_Silu;
  maker.step(gated_conv, "gated_conv");

  Conv2DT sloped_conv = conv;
  sloped_conv.output = maker.arena(DType_UInt8, {1, 8, 8, 4}, 0.15F, 70);
  sloped_conv.slope = maker.constant(DType_Float32, {4}, internal::floats(4, 0.25F));
  maker.step(sloped_conv, "sloped_conv");

  const std::uint32_t maximum = maker.arena(DType_UInt8, {1, 4, 4, 4}, 0.15F, 70);
  Pool2DT max_pool;
  max_pool.kind = PoolKind_Max;
  max_pool.input = gated;
  max_pool.output = maximum;
  max_pool.kernel_h = 2;
  max_pool.kernel_w = 2;
  max_pool.stride_h = 2;
  max_pool.stride_w = 2;
  maker.step(max_pool, "max_pool");

  const std::uint32_t average = maker.arena(DType_UInt8, {1, 4, 4, 4}, 0.15F, 70);
  Pool2DT average_pool;
  average_pool.kind = PoolKind_Average;
  average_pool.input = small;
  average_pool.output = average;
  average_pool.kernel_h = 3;
  average_pool.kernel_w = 3;
  average_pool.pad_top = 1;
  average_pool.pad_left = 1;
  maker.step(average_pool, "average_pool");

  const std::uint32_t joined = maker.arena(DType_UInt8, {1, 4, 4, 8}, 0.15F, 70);
  ConcatT concat;
  concat.inputs = {maximum, average};
  concat.output = joined;
  concat.axis = 3;
  maker.step(concat, "concat");

  const std::uint32_t mean = maker.arena(DType_UInt8, {1, 8}, 0.1F, 60);
  ReduceT reduce;
  reduce.kind = ReduceKind_Mean;
  reduce.input = joined;
  reduce.output = mean;
  reduce.first_axis = 1;
  reduce.last_axis = 2;
  maker.step(reduce, "mean");

  DequantizeT dequantize;
  dequantize.input = mean;
  dequantize.output = maker.output(DType_Float32, {1, 8});
  maker.step(dequantize, "dequantize");

  TransposeT transpose;
  transpose.input = joined;
  transpose.output = maker.output(DType_UInt8, {1, 8, 4, 4}, 0.15F, 70);
  transpose.perm = {0, 3, 1, 2};
  maker.step(transpose, "transpose");
}

// The float half: float32[1, 8, 8, 4] -> float32[1, 4, 4, 2].
inline void add_float_half(ProgramMaker& maker) {
  using namespace program;
  const std::uint32_t x = maker.input(DType_Float32, {1, 8, 8, 4});
  const std::uint32_t features = maker.arena(DType_Float32, {1, 8, 8, 2});
  Conv2DF32T conv;
  conv.input = x;
  conv.weight = maker.constant(DType_Float32, {2, 1, 1, 4}, internal::floats(8, 0.1F));
  conv.bias = maker.constant(DType_Float32, {2}, internal::floats(2, 0.1F));
  conv.output = features;
  conv.activation_min = -6.0F;
  conv.activation_max = 6.0F;
  maker.step(conv, "conv_f32");

  const std::uint32_t gate = maker.arena(DType_Float32, {1, 8, 8, 2});
  UnaryF32T unary;
  unary.kind = UnaryKind_Sigmoid;
  unary.input = features;
  unary.output = gate;
  maker.step(unary, "sigmoid");

  BinaryT multiply;  // in place
  multiply.kind = BinaryKind_Mul;
  multiply.a = features;
  multiply.b = gate;
  multiply.output = gate;
  maker.step(multiply, "mul");

  const std::uint32_t padded = maker.arena(DType_Float32, {1, 10, 10, 2});
  PadT pad;
  pad.input = gate;
  pad.output = padded;
  pad.before = {0, 1, 1, 0};
  pad.value = -1.0F;
  maker.step(pad, "pad");

  const std::uint32_t cropped = maker.arena(DType_Float32, {1, 8, 8, 2});
  StridedT crop;  // what was padded, away again
  crop.input = padded;
  crop.output = cropped;
  crop.offset = (10 + 1) * 2;
  crop.strides = {200, 20, 2, 1};
  maker.step(crop, "crop");

  Pool2DT pool;
  pool.kind = PoolKind_Average;
  pool.input = cropped;
  pool.output = maker.output(DType_Float32, {1, 4, 4, 2});
  pool.kernel_h = 2;
  pool.kernel_w = 2;
  pool.stride_h = 2;
  pool.stride_w = 2;
  maker.step(pool, "pool_f32");
}

// Truth values and integers: float32[4, 3] and int64[3] -> float32[4, 3] and float16[4, 3].
inline void add_typed_part(ProgramMaker& maker) {
  using namespace program;
  const std::uint32_t x = maker.input(DType_Float32, {4, 3});
  const std::uint32_t index = maker.input(DType_Int64, {3});
  const std::uint32_t limit = maker.arena(DType_Float32, {3});
  ConvertT convert;
  convert.input = index;
  convert.output = limit;
  maker.step(convert, "convert");

  const std::uint32_t below = maker.arena(DType_Bool, {4, 3});
  BinaryT compare;
  compare.kind = BinaryKind_Lt;
  compare.a = x;
  compare.b = limit;
  compare.output = below;
  maker.step(compare, "lt");

  const std::uint32_t chosen = maker.output(DType_Float32, {4, 3});
  WhereT where;
  where.condition = below;
  where.a = x;
  where.b = limit;
  where.output = chosen;
  maker.step(where, "where");

  ObserveT observe;
  observe.tensor = chosen;
  observe.tap = 7;
  maker.step(observe, "observe");

  ConvertT narrow;
  narrow.input = chosen;
  narrow.output = maker.output(DType_Float16, {4, 3});
  maker.step(narrow, "narrow");
}

// Places that index tensors give: float32[1, 8, 8, 2] -> the same.
inline void add_index_part(ProgramMaker& maker) {
  using namespace program;
  const std::uint32_t x = maker.input(DType_Float32, {1, 8, 8, 2});
  const std::uint32_t taken = maker.arena(DType_Float32, {1, 8, 8, 2});
  GatherT gather;  // rows in another order
  gather.input = x;
  gather.output = taken;
  gather.strides = {128, 0, 2, 1};
  gather.indices = {
      maker.constant(DType_Int64, {8}, std::vector<std::int64_t>{7, 6, 5, 4, 0, 1, -5, -6})};
  gather.sizes = {8};
  gather.steps = {16};
  gather.index_strides = {0, 1, 0, 0};
  maker.step(gather, "gather");

  ScatterT scatter;  // two rows, added to two others
  scatter.input = taken;
  scatter.source = x;
  scatter.output = maker.output(DType_Float32, {1, 8, 8, 2});
  scatter.shape = {2, 16};
  scatter.offset = 16;
  scatter.strides = {0, 1};
  scatter.source_strides = {16, 1};
  scatter.indices = {maker.constant(DType_Int32, {2}, std::vector<std::int32_t>{2, -1})};
  scatter.sizes = {7};
  scatter.steps = {16};
  scatter.index_strides = {1, 0};
  scatter.accumulate = true;
  maker.step(scatter, "scatter");
}

// The attention half: uint8[2, 4, 6] -> uint8[2, 4, 6], and the same in float32.
inline void add_attention_half(ProgramMaker& maker, program::DType dtype) {
  using namespace program;
  const auto zero_point = [&](std::int32_t quantized) {
    return dtype == DType_UInt8 ? quantized : 0;
  };
  const std::uint32_t x = maker.input(dtype, {2, 4, 6}, 0.05F, zero_point(128));
  const std::uint32_t normalized = maker.arena(dtype, {2, 4, 6}, 0.05F, zero_point(128));
  NormalizeT normalize;
  normalize.input = x;
  normalize.output = normalized;
  normalize.weight = maker.constant(DType_Float32, {6}, internal::floats(6, 2.0F));
  normalize.bias = maker.constant(DType_Float32, {6}, internal::floats(6, 1.0F));
  normalize.rows = 8;
  normalize.eps = 1e-5F;
  maker.step(normalize, "normalize");

  const std::uint32_t scores = maker.arena(dtype, {2, 4, 4}, 0.1F, zero_point(100));
  MatMulT matmul;
  matmul.a = normalized;
  matmul.b = x;
  matmul.bias = maker.constant(DType_Float32, {4}, internal::floats(4, 0.1F));
  matmul.output = scores;
  matmul.transpose_b = true;
  maker.step(matmul, "scores");

  const std::uint32_t weights = maker.arena(dtype, {2, 4, 4}, 1.0F / 256.0F, 0);
  SoftmaxT softmax;
  softmax.input = scores;
  softmax.output = weights;
  softmax.axis = 2;
  maker.step(softmax, "softmax");

  MatMulT mixed;
  mixed.a = weights;
  mixed.b = normalized;
  mixed.bias = maker.constant(DType_Float32, {6}, internal::floats(6, 0.1F));
  mixed.output = maker.output(dtype, {2, 4, 6}, 0.05F, zero_point(120));
  maker.step(mixed, "mixed");
}

// Orders, running results, resampling and sampling: float32[1, 3, 4, 2] -> float32[1, 5, 7, 2] and
// more.
inline void add_image_half(ProgramMaker& maker) {
  using namespace program;
  const std::uint32_t x = maker.input(DType_Float32, {1, 3, 4, 2});
  ResampleT resample;
  resample.kind = ResampleKind_Linear;
  resample.input = x;
  resample.output = maker.output(DType_Float32, {1, 5, 7, 2});
  resample.ratio_h = 0.6F;
  resample.ratio_w = 0.5F;
  maker.step(resample, "resample");

  const std::uint32_t sums = maker.arena(DType_Float32, {1, 3, 4, 2});
  CumulativeSumT cumulative;
  cumulative.input = x;
  cumulative.output = sums;
  cumulative.axis = 2;
  maker.step(cumulative, "cumulative_sum");

  TopKT topk;
  topk.input = sums;
  topk.values = maker.output(DType_Float32, {1, 3, 2, 2});
  topk.indices = maker.output(DType_Int64, {1, 3, 2, 2});
  topk.axis = 2;
  maker.step(topk, "topk");

  CumulativeProductT products;
  products.input = x;
  products.output = maker.output(DType_Float32, {1, 3, 4, 2});
  products.axis = 1;
  maker.step(products, "cumulative_product");

  GridSampleT sample;  // the image at the places that it holds itself
  sample.kind = ResampleKind_Cubic;
  sample.input = x;
  sample.grid = x;
  sample.output = maker.output(DType_Float32, {1, 3, 4, 2});
  sample.padding = GridPadding_Reflection;
  maker.step(sample, "grid_sample");
}

inline ProgramMaker all_operators_program() {
  ProgramMaker maker;
  add_quantized_half(maker);
  add_float_half(maker);
  add_typed_part(maker);
  add_index_part(maker);
  add_attention_half(maker, program::DType_UInt8);
  add_attention_half(maker, program::DType_Float32);
  add_image_half(maker);
  return maker;
}

}  // namespace enn::testing

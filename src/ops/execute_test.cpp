// The bind functions on tables as a program holds them: what they compute, and what each of them
// refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ops/execute_checks.hpp"

namespace enn {
namespace {

using program::DType_Float32;
using program::DType_Int64;
using program::DType_Int8;
using program::DType_UInt8;

// Tensors in one arena or one constant section, each from a 64-byte boundary.
class Bench final : public Binder {
 public:
  explicit Bench(CpuFeatures features = detected_features()) : features_(features) {}

  template <typename T>
  std::uint32_t constant(program::DType dtype, std::vector<std::int64_t> shape,
                         const std::vector<T>& values) {
    const std::uint32_t id = add(dtype, std::move(shape), program::Storage_Constant, constants_);
    std::memcpy(constants_.data() + tensors_[id].offset, values.data(), tensors_[id].bytes);
    return id;
  }
  template <typename T>
  std::uint32_t input(program::DType dtype, std::vector<std::int64_t> shape,
                      const std::vector<T>& values) {
    const std::uint32_t id = add(dtype, std::move(shape), program::Storage_Arena, arena_);
    std::memcpy(arena_.data() + tensors_[id].offset, values.data(), tensors_[id].bytes);
    return id;
  }
  std::uint32_t output(program::DType dtype, std::vector<std::int64_t> shape) {
    return add(dtype, std::move(shape), program::Storage_Arena, arena_);
  }
  TensorInfo& info(std::uint32_t id) { return tensors_[id]; }

  // Binds the table that `create` builds, and runs it.
  template <typename Table, typename Create>
  Status run(Result<OperatorPtr> (*bind)(const Table&, Binder&), const Create& create) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(create(builder));
    Result<OperatorPtr> bound =
        bind(*flatbuffers::GetRoot<Table>(builder.GetBufferPointer()), *this);
    if (!bound.ok()) return bound.status();
    std::vector<std::byte> memory(scratch_ + 64);
    SerialParallel parallel;
    Frame frame;
    frame.arena = arena_.data();
    frame.constants = constants_.data();
    frame.scratch = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64);
    frame.parallel = &parallel;
    RunFailure failure;
    frame.failure = &failure;
    bound.value()->run(frame);
    if (failure.failed) return error(Code::InvalidArgument, "index ", failure.index);
    return {};
  }

  template <typename T>
  std::vector<T> values(std::uint32_t id) const {
    std::vector<T> result(static_cast<std::size_t>(tensors_[id].numel));
    std::memcpy(result.data(), arena_.data() + tensors_[id].offset, tensors_[id].bytes);
    return result;
  }

  Result<const TensorInfo*> tensor(std::uint32_t id) override {
    if (id >= tensors_.size()) return error(Code::InvalidProgram, "no tensor ", id);
    return &tensors_[id];
  }
  Result<const TensorInfo*> result(std::uint32_t id) override { return tensor(id); }
  Result<std::span<const std::byte>> constant(const TensorInfo& tensor) const override {
    if (tensor.storage != program::Storage_Constant) {
      return error(Code::InvalidProgram, "tensor ", tensor.id, " is not a constant");
    }
    return std::span(constants_).subspan(tensor.offset, tensor.bytes);
  }
  Result<PackedConstant> packed_constant(const TensorInfo& tensor, std::string_view) override {
    ENN_ASSIGN(const auto bytes, constant(tensor));
    return PackedConstant{bytes, true, {}};
  }
  void request_scratch(std::size_t bytes) override { scratch_ = std::max(scratch_, bytes); }
  void report_cost(std::uint64_t operations) override { cost = operations; }
  CpuFeatures features() const override { return features_; }
  int max_threads() const override { return 1; }

  std::uint64_t cost = 0;

 private:
  std::uint32_t add(program::DType dtype, std::vector<std::int64_t> shape, program::Storage storage,
                    std::vector<std::byte>& section) {
    TensorInfo info;
    info.id = static_cast<std::uint32_t>(tensors_.size());
    info.dtype = dtype;
    info.numel = 1;
    for (const std::int64_t size : shape) info.numel *= size;
    info.shape = std::move(shape);
    const std::size_t size = dtype == DType_Int64 ? 8 : dtype == DType_Float32 ? 4 : 1;
    info.bytes = static_cast<std::size_t>(info.numel) * size;
    info.storage = storage;
    info.offset = section.size();
    section.resize((section.size() + info.bytes + 127) / 64 * 64);
    tensors_.push_back(info);
    return info.id;
  }

  CpuFeatures features_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::byte> arena_;
  std::vector<std::byte> constants_;
  std::size_t scratch_ = 0;
};

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

// A 3 x 3 convolution of 4 channels to 2 on a 5 x 5 image with padding 1, which `spoil` may change.
struct ConvTable {
  std::uint32_t groups = 1, stride_h = 1, stride_w = 1, pad_top = 1, pad_left = 1;
  std::uint32_t dilation_h = 1, dilation_w = 1;
  std::int32_t weight_zero_point = 0;
  std::uint8_t output_min = 0, output_max = 255;
  std::uint32_t input = 0, weight = 0, multiplier = 0, bias = 0, output = 0;
  std::uint32_t residual = UINT32_MAX;
  float residual_multiplier = 0.0F;
  flatbuffers::Optional<program::UnaryKind> function = flatbuffers::nullopt;
  float function_alpha = 0.0F;
  std::uint32_t slope = UINT32_MAX;
};

Status run_conv(Bench& bench, const std::function<void(Bench&, ConvTable&)>& spoil) {
  ConvTable t;
  t.input = bench.input(DType_UInt8, {1, 5, 5, 4}, Bytes(100, 3));
  t.weight = bench.constant(DType_Int8, {2, 3, 3, 4}, std::vector<std::int8_t>(72, 2));
  t.multiplier = bench.constant(DType_Float32, {2}, Floats{0.25F, 0.5F});
  t.bias = bench.constant(DType_Float32, {2}, Floats{1.0F, -2.0F});
  t.output = bench.output(DType_UInt8, {1, 5, 5, 2});
  bench.info(t.input).zero_point = 1;
  bench.info(t.output).zero_point = 7;
  spoil(bench, t);
  return bench.run<program::Conv2D>(bind_conv2d, [&](flatbuffers::FlatBufferBuilder& builder) {
    return program::CreateConv2D(
        builder, t.input, t.weight, t.multiplier, t.bias, t.output, t.weight_zero_point, t.groups,
        t.stride_h, t.stride_w, t.pad_top, t.pad_left, t.dilation_h, t.dilation_w, t.output_min,
        t.output_max, t.residual, t.residual_multiplier, t.function, t.function_alpha, t.slope);
  });
}

TEST(BindConv2D, Computes) {
  Bench bench;
  std::uint32_t output = 0;
  const Status status = run_conv(bench, [&](Bench&, ConvTable& t) { output = t.output; });
  ASSERT_TRUE(status.ok()) << status.message();
  const Bytes out = bench.values<std::uint8_t>(output);
  // Each product is (3 - 1) * 2; a corner sees 4 taps of 4 channels, the middle 9.
  EXPECT_EQ(out[0], 16 * 4 / 4 + 1 + 7);
  EXPECT_EQ(out[1], 16 * 4 / 2 - 2 + 7);
  EXPECT_EQ(out[24], 36 * 4 / 4 + 1 + 7);
  EXPECT_EQ(out[25], 36 * 4 / 2 - 2 + 7);
  EXPECT_EQ(bench.cost, 50U * 36U);
}

TEST(BindConv2D, AddsAResidual) {
  Bench bench;
  std::uint32_t output = 0;
  const Status status = run_conv(bench, [&](Bench& b, ConvTable& t) {
    Bytes elements(50, 9);
    elements[24] = 19;
    t.residual = b.input(DType_UInt8, {1, 5, 5, 2}, elements);
    b.info(t.residual).zero_point = 5;
    t.residual_multiplier = 2.0F;
    output = t.output;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  const Bytes out = bench.values<std::uint8_t>(output);
  EXPECT_EQ(out[0], 16 * 4 / 4 + 1 + 2 * (9 - 5) + 7);
  EXPECT_EQ(out[1], 16 * 4 / 2 - 2 + 2 * (9 - 5) + 7);
  EXPECT_EQ(out[24], 36 * 4 / 4 + 1 + 2 * (19 - 5) + 7);
}

TEST(BindConv2D, AppliesAFunction) {
  Bench bench;
  std::uint32_t output = 0;
  const auto applied = [&](program::UnaryKind kind, float alpha) {
    const Status status = run_conv(bench, [&](Bench& b, ConvTable& t) {
      t.bias = b.constant(DType_Float32, {2}, Floats{-26.0F, -2.0F});
      b.info(t.output).scale = 0.5F;
      t.function = kind;
      t.function_alpha = alpha;
      output = t.output;
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return bench.values<std::uint8_t>(output);
  };
  // 16 steps less 26 in the first channel's corner, 36 less 26 in its middle; half a unit each.
  const Bytes slope = applied(program::UnaryKind_LeakyRelu, 0.25F);
  EXPECT_EQ(slope[0], -2 + 7);  // -2.5, to even
  EXPECT_EQ(slope[24], 10 + 7);
  const Bytes logistic = applied(program::UnaryKind_Sigmoid, 0.0F);
  EXPECT_EQ(logistic[0], 0 + 7);
  EXPECT_EQ(logistic[24], 2 + 7);  // 1 / (1 + exp(-5)) in halves
}

TEST(BindConv2D, AppliesASlopeToEachChannel) {
  Bench bench;
  std::uint32_t output = 0;
  const Status status = run_conv(bench, [&](Bench& b, ConvTable& t) {
    t.bias = b.constant(DType_Float32, {2}, Floats{-26.0F, -72.0F});
    t.slope = b.constant(DType_Float32, {2}, Floats{0.25F, -0.5F});
    output = t.output;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  const Bytes out = bench.values<std::uint8_t>(output);
  // 16 less 26 and 32 less 72 in the corner, 36 less 26 and 72 less 72 in the middle.
  EXPECT_EQ(out[0], -2 + 7);  // -2.5, to even
  EXPECT_EQ(out[1], 20 + 7);
  EXPECT_EQ(out[24], 10 + 7);
  EXPECT_EQ(out[25], 0 + 7);
}

TEST(BindConv2D, Refuses) {
  struct Refusal {
    const char* part;  // of the sentence
    std::function<void(Bench&, ConvTable&)> spoil;
  };
  const Refusal all[] = {
      {"no tensor", [](Bench&, ConvTable& t) { t.input = 99; }},
      {"not a constant",
       [](Bench& b, ConvTable& t) {
         t.weight = b.input(DType_Int8, {2, 3, 3, 4}, std::vector<std::int8_t>(72, 2));
       }},
      {"dtype Int8", [](Bench& b, ConvTable& t) { b.info(t.input).dtype = DType_Int8; }},
      {"dtype UInt8", [](Bench& b, ConvTable& t) { b.info(t.weight).dtype = DType_UInt8; }},
      {"expected rank 4", [](Bench& b, ConvTable& t) { b.info(t.input).shape = {100}; }},
      {"do not fit together", [](Bench&, ConvTable& t) { t.groups = 0; }},
      {"do not fit together", [](Bench&, ConvTable& t) { t.groups = 2; }},
      {"do not fit together", [](Bench&, ConvTable& t) { t.groups = 3; }},
      {"do not fit together",
       [](Bench& b, ConvTable& t) { b.info(t.output).shape = {2, 5, 5, 1}; }},
      {"stride", [](Bench&, ConvTable& t) { t.stride_h = 0; }},
      {"dilation", [](Bench&, ConvTable& t) { t.dilation_w = 1U << 31U; }},
      {"padding", [](Bench&, ConvTable& t) { t.pad_left = UINT32_MAX; }},
      {"windows outside", [](Bench&, ConvTable& t) { t.stride_w = 2; }},
      {"is not float32[2]", [](Bench&, ConvTable& t) { t.bias = t.weight; }},
      {"bias is not finite",
       [](Bench& b, ConvTable& t) { t.bias = b.constant(DType_Float32, {2}, Floats{0.0F, NAN}); }},
      {"multiplier is not finite",
       [](Bench& b, ConvTable& t) {
         t.multiplier = b.constant(DType_Float32, {2}, Floats{INFINITY, 1.0F});
       }},
      {"zero point 300", [](Bench&, ConvTable& t) { t.weight_zero_point = 300; }},
      {"zero point 256", [](Bench& b, ConvTable& t) { b.info(t.input).zero_point = 256; }},
      {"scale", [](Bench& b, ConvTable& t) { b.info(t.output).scale = 0.0F; }},
      {"scale", [](Bench& b, ConvTable& t) { b.info(t.input).scale = NAN; }},
      {"output_min above",
       [](Bench&, ConvTable& t) {
         t.output_min = 9;
         t.output_max = 8;
       }},
      {"over its input", [](Bench&, ConvTable& t) { t.output = t.input; }},
      {"no tensor", [](Bench&, ConvTable& t) { t.residual = 99; }},
      {"over its input", [](Bench&, ConvTable& t) { t.residual = t.output; }},
      {"which differ", [](Bench&, ConvTable& t) { t.residual = t.input; }},
      {"has dtype Float32",
       [](Bench& b, ConvTable& t) {
         t.residual = b.input(DType_Float32, {1, 5, 5, 2}, Floats(50, 1.0F));
       }},
      {"zero point 256",
       [](Bench& b, ConvTable& t) {
         t.residual = b.input(DType_UInt8, {1, 5, 5, 2}, Bytes(50, 1));
         b.info(t.residual).zero_point = 256;
       }},
      {"cannot apply", [](Bench&, ConvTable& t) { t.function = program::UnaryKind_Exp; }},
      {"function_alpha",
       [](Bench&, ConvTable& t) {
         t.function = program::UnaryKind_LeakyRelu;
         t.function_alpha = NAN;
       }},
      {"slope (tensor", [](Bench&, ConvTable& t) { t.slope = t.weight; }},
      {"slope is not finite",
       [](Bench& b, ConvTable& t) { t.slope = b.constant(DType_Float32, {2}, Floats{0.0F, NAN}); }},
      {"a function beside its slopes",
       [](Bench&, ConvTable& t) {
         t.slope = t.bias;
         t.function = program::UnaryKind_Silu;
       }},
      {"residual_multiplier",
       [](Bench& b, ConvTable& t) {
         t.residual = b.input(DType_UInt8, {1, 5, 5, 2}, Bytes(50, 1));
         t.residual_multiplier = NAN;
       }},
  };
  for (const Refusal& refusal : all) {
    Bench bench;
    const Status status = run_conv(bench, refusal.spoil);
    EXPECT_EQ(status.code(), Code::InvalidProgram) << refusal.part;
    EXPECT_NE(status.message().find(refusal.part), std::string::npos) << status.message();
  }
}

TEST(BindConv2D, RefusesSumsThatCouldLeave32Bits) {
  constexpr std::int64_t kDepth = 66000;
  Bench bench;
  const Status status = run_conv(bench, [](Bench& b, ConvTable& t) {
    t.pad_top = t.pad_left = 0;
    t.input = b.input(DType_UInt8, {1, 1, 1, kDepth}, Bytes(kDepth, 255));
    t.weight =
        b.constant(DType_Int8, {2, 1, 1, kDepth}, std::vector<std::int8_t>(2 * kDepth, -128));
    t.output = b.output(DType_UInt8, {1, 1, 1, 2});
  });
  EXPECT_NE(status.message().find("overflow 32 bits"), std::string::npos) << status.message();
}

struct PoolTable {
  program::PoolKind kind = program::PoolKind_Average;
  std::uint32_t kernel = 3, stride = 2, pad = 1, dilation = 1;
  bool count_include_pad = true;
  std::uint32_t divisor_override = 0;
};

Status run_pool(Bench& bench, std::uint32_t input, std::uint32_t output, const PoolTable& t) {
  return bench.run<program::Pool2D>(bind_pool2d, [&](flatbuffers::FlatBufferBuilder& builder) {
    return program::CreatePool2D(builder, t.kind, input, output, t.kernel, t.kernel, t.stride,
                                 t.stride, t.pad, t.pad, t.dilation, t.dilation,
                                 t.count_include_pad, t.divisor_override);
  });
}

// torch.nn.functional.avg_pool2d(torch.ones(1, 1, 4, 4), 3, 2, 1, ceil_mode=True, ...): the last
// window of a ceil-mode output reaches past the padding, which its divisor does not count.
TEST(BindPool2D, AverageDividesAsATenDoes) {
  const auto average = [](bool count_include_pad, std::uint32_t divisor_override) {
    Bench bench;
    const std::uint32_t input = bench.input(DType_Float32, {1, 4, 4, 1}, Floats(16, 1.0F));
    const std::uint32_t output = bench.output(DType_Float32, {1, 3, 3, 1});
    PoolTable table;
    table.count_include_pad = count_include_pad;
    table.divisor_override = divisor_override;
    const Status status = run_pool(bench, input, output, table);
    EXPECT_TRUE(status.ok()) << status.message();
    return bench.values<float>(output);
  };
  const float four9 = 4.0F / 9.0F;
  const float six9 = 6.0F / 9.0F;
  EXPECT_EQ(average(true, 0),
            (Floats{four9, six9, 2.0F / 6.0F, six9, 1.0F, 0.5F, 2.0F / 6.0F, 0.5F, 0.25F}));
  EXPECT_EQ(average(false, 0), Floats(9, 1.0F));
  EXPECT_EQ(average(true, 2), (Floats{2, 3, 1, 3, 4.5F, 1.5F, 1, 1.5F, 0.5F}));
}

TEST(BindPool2D, MaximumWithDilation) {
  Bench bench;
  Bytes image(25);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i);
  const std::uint32_t input = bench.input(DType_UInt8, {1, 5, 5, 1}, image);
  const std::uint32_t output = bench.output(DType_UInt8, {1, 3, 3, 1});
  PoolTable table;
  table.kind = program::PoolKind_Max;
  table.kernel = 2;
  table.stride = 1;
  table.pad = 0;
  table.dilation = 2;
  ASSERT_TRUE(run_pool(bench, input, output, table).ok());
  EXPECT_EQ(bench.values<std::uint8_t>(output), (Bytes{12, 13, 14, 17, 18, 19, 22, 23, 24}));
}

TEST(BindPool2D, Refuses) {
  const auto refusal = [](const PoolTable& table, std::vector<std::int64_t> out_shape) {
    Bench bench;
    const std::uint32_t input = bench.input(DType_Float32, {1, 4, 4, 1}, Floats(16));
    const std::uint32_t output = bench.output(DType_Float32, std::move(out_shape));
    return run_pool(bench, input, output, table).message();
  };
  PoolTable table;
  EXPECT_NE(refusal(table, {1, 4, 4, 1}).find("in the padding"), std::string::npos);
  EXPECT_NE(refusal(table, {1, 2, 2, 2}).find("maps shape"), std::string::npos);
  table.pad = 3;
  EXPECT_NE(refusal(table, {1, 2, 2, 1}).find("in the padding"), std::string::npos);
  table.pad = 1;
  table.dilation = 2;
  EXPECT_NE(refusal(table, {1, 1, 1, 1}).find("no dilation"), std::string::npos);
  table.kernel = 0;
  EXPECT_NE(refusal(table, {1, 2, 2, 1}).find("kernel size"), std::string::npos);
}

Status run_binary(Bench& bench, program::BinaryKind kind, std::uint32_t a, std::uint32_t b,
                  std::uint32_t output) {
  return bench.run<program::Binary>(bind_binary, [&](flatbuffers::FlatBufferBuilder& builder) {
    return program::CreateBinary(builder, kind, a, b, output);
  });
}

TEST(BindBinary, BroadcastsOverChannels) {
  Bench bench;
  const std::uint32_t a =
      bench.input(DType_UInt8, {1, 2, 2, 3}, Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const std::uint32_t b = bench.input(DType_UInt8, {1, 1, 1, 3}, Bytes{1, 2, 3});
  const std::uint32_t output = bench.output(DType_UInt8, {1, 2, 2, 3});
  bench.info(b).scale = 2.0F;
  bench.info(b).zero_point = 1;
  bench.info(output).zero_point = 5;
  ASSERT_TRUE(run_binary(bench, program::BinaryKind_Add, a, b, output).ok());
  EXPECT_EQ(bench.values<std::uint8_t>(output),
            (Bytes{5, 8, 11, 8, 11, 14, 11, 14, 17, 14, 17, 20}));
  ASSERT_TRUE(run_binary(bench, program::BinaryKind_Mul, a, b, output).ok());
  EXPECT_EQ(bench.values<std::uint8_t>(output), (Bytes{5, 7, 13, 5, 13, 25, 5, 19, 37, 5, 25, 49}));
}

TEST(BindBinary, Refuses) {
  Bench bench;
  const std::uint32_t a = bench.input(DType_UInt8, {2, 3}, Bytes(6));
  const std::uint32_t row = bench.input(DType_UInt8, {1, 3}, Bytes(3));
  const std::uint32_t real = bench.input(DType_Float32, {2, 3}, Floats(6));
  const std::uint32_t wide = bench.output(DType_UInt8, {4, 3});
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_Add, a, a, wide).ok());
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_Add, row, row, a).ok());
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_Add, real, a, a).ok());
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_Eq, a, a, a).ok());
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_And, real, real, real).ok());
  EXPECT_FALSE(run_binary(bench, static_cast<program::BinaryKind>(99), a, a, a).ok());
  // In place is for operands of the result's shape.
  EXPECT_TRUE(run_binary(bench, program::BinaryKind_Add, a, row, a).ok());
  const std::uint32_t line = bench.input(DType_UInt8, {3}, Bytes(3));
  bench.info(line).offset = bench.info(a).offset;
  EXPECT_FALSE(run_binary(bench, program::BinaryKind_Add, a, line, a).ok());
}

TEST(BindReduce, MeanOverTheImage) {
  Bench bench;
  const std::uint32_t input =
      bench.input(DType_UInt8, {1, 2, 2, 2}, Bytes{0, 10, 1, 20, 2, 30, 4, 41});
  const std::uint32_t output = bench.output(DType_UInt8, {1, 2});
  bench.info(input).zero_point = 2;
  bench.info(output).zero_point = 3;
  const auto mean = [&](std::uint32_t first, std::uint32_t last) {
    return bench.run<program::Reduce>(bind_reduce, [&](flatbuffers::FlatBufferBuilder& builder) {
      return program::CreateReduce(builder, program::ReduceKind_Mean, input, output, first, last);
    });
  };
  ASSERT_TRUE(mean(1, 2).ok());
  // Means 1.75 - 2 and 25.25 - 2, rounded, plus 3.
  EXPECT_EQ(bench.values<std::uint8_t>(output), (Bytes{3, 26}));
  EXPECT_FALSE(mean(2, 1).ok());
  EXPECT_FALSE(mean(1, 4).ok());
  EXPECT_FALSE(mean(1, 3).ok());
}

TEST(BindQuantize, PermutesWhileItQuantizes) {
  Bench bench;
  const std::uint32_t input =
      bench.input(DType_Float32, {1, 2, 2, 1}, Floats{0.0F, 1.0F, 2.0F, NAN});
  const std::uint32_t output = bench.output(DType_UInt8, {1, 2, 1, 2});
  bench.info(output).zero_point = 10;
  const auto quantize = [&](std::vector<std::uint32_t> perm, std::int32_t low, std::int32_t high) {
    return bench.run<program::Quantize>(
        bind_quantize, [&](flatbuffers::FlatBufferBuilder& builder) {
          return program::CreateQuantizeDirect(builder, input, output, &perm, 2.5F, low, high);
        });
  };
  ASSERT_TRUE(quantize({0, 2, 3, 1}, 1, 255).ok());
  EXPECT_EQ(bench.values<std::uint8_t>(output), (Bytes{10, 15, 12, 1}));
  EXPECT_FALSE(quantize({0, 2, 3, 3}, 1, 255).ok());
  EXPECT_FALSE(quantize({0, 2, 3}, 1, 255).ok());
  EXPECT_FALSE(quantize({0, 1, 2, 3}, 1, 255).ok());
  EXPECT_FALSE(quantize({0, 2, 3, 1}, -1, 255).ok());
  EXPECT_FALSE(quantize({0, 2, 3, 1}, 9, 8).ok());
}

TEST(BindConcat, JoinsAlongTheLastAxis) {
  Bench bench;
  const std::uint32_t a = bench.input(DType_UInt8, {2, 1}, Bytes{1, 2});
  const std::uint32_t b = bench.input(DType_UInt8, {2, 2}, Bytes{3, 4, 5, 6});
  const std::uint32_t output = bench.output(DType_UInt8, {2, 3});
  const auto concat = [&](std::vector<std::uint32_t> inputs, std::uint32_t axis) {
    return bench.run<program::Concat>(bind_concat, [&](flatbuffers::FlatBufferBuilder& builder) {
      return program::CreateConcatDirect(builder, &inputs, output, axis);
    });
  };
  ASSERT_TRUE(concat({a, b}, 1).ok());
  EXPECT_EQ(bench.values<std::uint8_t>(output), (Bytes{1, 3, 4, 2, 5, 6}));
  EXPECT_FALSE(concat({}, 1).ok());
  EXPECT_FALSE(concat({a, b}, 2).ok());
  EXPECT_FALSE(concat({a, a}, 1).ok());
  EXPECT_FALSE(concat({a, b}, 0).ok());
  EXPECT_FALSE(concat({a, output}, 1).ok());
}

TEST(BindTopK, OrdersAndRefuses) {
  Bench bench;
  const std::uint32_t x = bench.input(DType_Float32, {2, 3}, Floats{1, 3, 2, 5, 5, 4});
  const std::uint32_t values = bench.output(DType_Float32, {2, 2});
  const std::uint32_t places = bench.output(DType_Int64, {2, 2});
  const auto run = [&](std::uint32_t axis, std::uint32_t indices) {
    return bench.run<program::TopK>(bind_topk, [&](flatbuffers::FlatBufferBuilder& builder) {
      return program::CreateTopK(builder, x, values, indices, axis, true);
    });
  };
  const Status status = run(1, places);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(bench.values<float>(values), (Floats{3, 2, 5, 5}));
  EXPECT_EQ(bench.values<std::int64_t>(places), (std::vector<std::int64_t>{1, 2, 0, 1}));
  EXPECT_EQ(run(2, places).message(), "TopK has axis 2 for rank 2");
  EXPECT_NE(run(0, places).message(), "");
  EXPECT_NE(run(1, values).message(), "");
}

TEST(BindResample, RefusesRatiosThatAreNone) {
  Bench bench;
  const std::uint32_t x = bench.input(DType_Float32, {1, 2, 2, 1}, Floats{1, 3, 2, 5});
  const std::uint32_t y = bench.output(DType_Float32, {1, 4, 4, 1});
  for (const float ratio : {-0.5F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const Status status =
        bench.run<program::Resample>(bind_resample, [&](flatbuffers::FlatBufferBuilder& builder) {
          return program::CreateResample(builder, program::ResampleKind_Cubic, x, y, false, 0.5F,
                                         ratio);
        });
    EXPECT_FALSE(status.ok()) << ratio;
  }
}

TEST(BindGridSample, ReadsThePlacesOfAGrid) {
  Bench bench;
  const std::uint32_t x = bench.input(DType_Float32, {1, 2, 2, 1}, Floats{1, 3, 2, 5});
  const std::uint32_t grid =
      bench.input(DType_Float32, {1, 1, 4, 2}, Floats{-1, -1, 1, 0, 0, 0, 3, 0});
  const std::uint32_t y = bench.output(DType_Float32, {1, 1, 4, 1});
  const auto run = [&](std::uint32_t places, program::ResampleKind kind,
                       program::GridPadding padding) {
    return bench.run<program::GridSample>(
        bind_grid_sample, [&](flatbuffers::FlatBufferBuilder& builder) {
          return program::CreateGridSample(builder, x, places, y, kind, padding, true);
        });
  };
  const Status status = run(grid, program::ResampleKind_Linear, program::GridPadding_Zeros);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(bench.values<float>(y), (Floats{1, 4, 2.75F, 0}));
  EXPECT_EQ(run(grid, program::ResampleKind_NearestExact, program::GridPadding_Zeros).message(),
            "GridSample has the kind NearestExact");
  EXPECT_EQ(run(x, program::ResampleKind_Linear, program::GridPadding_Zeros).message(),
            "GridSample gives [1, 1, 4, 1] by a grid of shape [1, 2, 2, 1]");
  EXPECT_EQ(run(grid, program::ResampleKind_Linear, static_cast<program::GridPadding>(9)).message(),
            "GridSample has an unknown padding");
}

// Columns of [2, 4] bytes that two indices name.
class IndexTest : public ::testing::Test {
 protected:
  Status gather() {
    return bench_.run<program::Gather>(bind_gather, [&](flatbuffers::FlatBufferBuilder& builder) {
      return program::CreateGatherDirect(builder, input_, output_, offset_, &strides_, &indices_,
                                         &sizes_, &steps_, &index_strides_);
    });
  }
  Status scatter(bool accumulate = false) {
    return bench_.run<program::Scatter>(bind_scatter, [&](flatbuffers::FlatBufferBuilder& builder) {
      return program::CreateScatterDirect(builder, input_, source_, whole_, &shape_, offset_,
                                          &strides_, &source_strides_, &indices_, &sizes_, &steps_,
                                          &index_strides_, accumulate);
    });
  }

  Bench bench_;
  std::uint32_t input_ = bench_.input(DType_UInt8, {2, 4}, Bytes{1, 2, 3, 4, 5, 6, 7, 8});
  std::uint32_t source_ = bench_.input(DType_UInt8, {2, 2}, Bytes{10, 11, 12, 13});
  std::uint32_t index_ = bench_.input(program::DType_Int64, {2}, std::vector<std::int64_t>{3, -4});
  std::uint32_t wrong_ = bench_.input(program::DType_Int64, {2}, std::vector<std::int64_t>{3, 4});
  std::uint32_t output_ = bench_.output(DType_UInt8, {2, 2});
  std::uint32_t whole_ = bench_.output(DType_UInt8, {2, 4});
  std::uint64_t offset_ = 0;
  std::vector<std::uint32_t> shape_{2, 2};
  std::vector<std::int64_t> strides_{4, 0};
  std::vector<std::int64_t> source_strides_{2, 1};
  std::vector<std::uint32_t> indices_{index_};
  std::vector<std::uint32_t> sizes_{4};
  std::vector<std::int64_t> steps_{1};
  std::vector<std::int64_t> index_strides_{0, 1};
};

TEST_F(IndexTest, ReadsAndWritesWhereIndicesSay) {
  ASSERT_TRUE(gather().ok());
  EXPECT_EQ(bench_.values<std::uint8_t>(output_), (Bytes{4, 1, 8, 5}));
  ASSERT_TRUE(scatter().ok());
  EXPECT_EQ(bench_.values<std::uint8_t>(whole_), (Bytes{11, 2, 3, 10, 13, 6, 7, 12}));
}

TEST_F(IndexTest, EndsAtAnIndexOutOfRange) {
  indices_ = {wrong_};
  EXPECT_EQ(gather().message(), "index 4");
  EXPECT_EQ(scatter().message(), "index 4");
}

TEST_F(IndexTest, RefusesWalksThatLeaveTheirTensors) {
  const auto refused = [&](auto& field, auto value) {
    const auto before = field;
    field = value;
    EXPECT_EQ(gather().code(), Code::InvalidProgram);
    EXPECT_EQ(scatter().code(), Code::InvalidProgram);
    field = before;
  };
  using List = std::vector<std::int64_t>;
  refused(offset_, std::uint64_t{1});
  refused(offset_, UINT64_MAX);
  refused(strides_, List{5, 0});
  refused(strides_, List{-1, 0});
  refused(strides_, List{4});
  refused(strides_, List{INT64_MAX, INT64_MAX});
  refused(sizes_, std::vector<std::uint32_t>{5});
  refused(sizes_, std::vector<std::uint32_t>{0});
  refused(sizes_, std::vector<std::uint32_t>{});
  refused(steps_, List{2});
  refused(steps_, List{-1});
  refused(index_strides_, List{0, 2});
  refused(index_strides_, List{1, 1});
  refused(index_strides_, List{0, -1});
  refused(index_strides_, List{});
  refused(indices_, std::vector<std::uint32_t>{source_});
  refused(indices_, std::vector<std::uint32_t>{100});
  refused(indices_, std::vector<std::uint32_t>{index_, index_});
  source_strides_ = {2, 2};
  EXPECT_FALSE(scatter().ok());
  source_strides_ = {2, 1};
  EXPECT_FALSE(scatter(true).ok());
  shape_ = {0, 2};
  EXPECT_FALSE(scatter().ok());
  shape_ = std::vector<std::uint32_t>(9, 1);
  EXPECT_FALSE(scatter().ok());
}

}  // namespace
}  // namespace enn

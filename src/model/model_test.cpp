#include "enn/model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "ir/graph.hpp"

namespace enn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<NamedType> named(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<NamedType> out;
  for (const ValueId id : ids) out.push_back({graph.value(id).name, graph.value(id).type});
  return out;
}

Model compiled(const std::string& text, const ModelOptions& options = {}) {
  auto graph = parse(text);
  EXPECT_EQ(graph.status().message(), "");
  auto model = Model::compile_graph(graph.value(), named(graph.value(), graph.value().inputs()),
                                    named(graph.value(), graph.value().outputs()), options);
  EXPECT_EQ(model.status().message(), "");
  return std::move(model).value();
}

TensorView view(const Shape& shape, const std::vector<float>& values) {
  return {{DType::Float32, shape}, std::as_bytes(std::span(values))};
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> out(tensor.bytes.size() / sizeof(float));
  std::memcpy(out.data(), tensor.bytes.data(), tensor.bytes.size());
  return out;
}

class Recorder final : public ExecutionListener {
 public:
  void on_tap(std::uint32_t tap, std::span<const float> values, Parallel&) noexcept override {
    taps[tap].assign(values.begin(), values.end());
  }
  void on_step(std::size_t step, std::chrono::nanoseconds) noexcept override {
    steps.push_back(step);
  }

  std::map<std::uint32_t, std::vector<float>> taps;
  std::vector<std::size_t> steps;
};

constexpr std::string_view kTapped = R"(graph {
  input %x: float32[1, 2, 1, 2]
  constant %w: float32[1, 2, 1, 1] = hex 0000803f00000040
  constant %half: float32[] = hex 0000003f
  %c: float32[1, 1, 1, 2] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %r: float32[1, 1, 1, 2] = relu(%c)
  %flat: float32[2] = reshape(%r) {shape = [2]}
  %y: float32[2] = mul(%flat, %half)
  tap %x
  tap %c
  tap %r
  tap %half
  tap %c
  tap %y
  return %y
}
)";

TEST(Model, ShowsTapsOfInputsConstantsAndResultsInTheOrderOfMemory) {
  for (const int threads : {1, 2}) {
    Model model = compiled(std::string(kTapped), {Execution::Qdq, threads, {}});
    const std::vector<float> x{1, 2, -3, 4};
    const auto plain = model(std::vector{view({1, 2, 1, 2}, x)});
    ASSERT_TRUE(plain.ok()) << plain.status().message();
    EXPECT_THAT(floats(plain.value()[0]), ElementsAre(0, 5));
    Recorder recorder;
    const auto watched = model(std::vector{view({1, 2, 1, 2}, x)}, &recorder);
    ASSERT_TRUE(watched.ok()) << watched.status().message();
    EXPECT_EQ(floats(watched.value()[0]), floats(plain.value()[0]));
    ASSERT_EQ(recorder.taps.size(), 6);
    EXPECT_THAT(recorder.taps[0], ElementsAre(1, 2, -3, 4));
    EXPECT_THAT(recorder.taps[1], ElementsAre(-5, 10));
    EXPECT_THAT(recorder.taps[2], ElementsAre(0, 10));
    EXPECT_THAT(recorder.taps[3], ElementsAre(0.5F));
    EXPECT_THAT(recorder.taps[4], ElementsAre(-5, 10));
    EXPECT_THAT(recorder.taps[5], ElementsAre(0, 5));
    EXPECT_EQ(recorder.steps.size(), model.program().steps().size());
    EXPECT_EQ(recorder.steps.back() + 1, recorder.steps.size());
  }
}

TEST(Model, TheTextFormKeepsTaps) {
  const auto graph = parse(kTapped);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(verify(graph.value()).message(), "");
  EXPECT_EQ(print(graph.value()), kTapped);
}

TEST(Model, TapsOfIntegersAreRefused) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::Int32, {2}});
  graph.set_outputs({x});
  graph.add_tap(x);
  EXPECT_THAT(verify(graph).message(), HasSubstr("tapped value 'x' is int32"));
}

// q = clamp(round_half_even(x / 0.5) + 3), then (q - 3) * 0.5: between the two, 8 bits; behind
// them, float.
constexpr const char* kQdq = R"(graph {
  input %x: float32[1, 1, 1, 6]
  constant %w: int8[1, 1, 1, 1] = hex 05
  constant %ws: float32[1] = hex 0000003e
  constant %wz: int64[1] = hex 0000000000000000
  %q: int8[1, 1, 1, 6] = quantize(%x) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 3}
  %d: float32[1, 1, 1, 6] = dequantize(%q) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 3}
  %dw: float32[1, 1, 1, 1] = dequantize(%w, %ws, %wz) {axis = 0, dtype = "float32", quant_max = 127, quant_min = -128}
  %c: float32[1, 1, 1, 6] = convolution(%d, %dw, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %r: float32[1, 1, 1, 6] = relu(%c)
  %q2: int8[1, 1, 1, 6] = quantize(%r) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = -128}
  %d2: float32[1, 1, 1, 6] = dequantize(%q2) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = -128}
  tap %d
  tap %r
  return %d2
}
)";

TEST(Model, QdqComputesFloatBetweenDequantizeAndQuantize) {
  const std::vector<float> x{-1, 0.25F, 0.75F, 0.76F, 7.3F, 1000};
  std::vector<float> real;
  std::vector<float> result;
  for (const float value : x) {
    const float q = std::fmin(std::nearbyint(value * 2.0F) + 3.0F, 127.0F);
    real.push_back((q - 3.0F) * 0.5F);
    const float y = std::fmax(real.back() * 0.625F, 0.0F);
    result.push_back(std::fmin(std::nearbyint(y * 4.0F), 255.0F) * 0.25F);
  }
  Model model = compiled(kQdq);
  Recorder recorder;
  const auto outputs = model(std::vector{view({1, 1, 1, 6}, x)}, &recorder);
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(floats(outputs.value()[0]), result);
  EXPECT_EQ(recorder.taps[0], real);
  EXPECT_FLOAT_EQ(recorder.taps[1][4], 4.6875F);
  for (const StepInfo& step : model.program().steps()) EXPECT_NE(step.op, "Conv2D");
}

TEST(Model, IntegerRunsTheOperatorsIn8Bits) {
  std::string text = kQdq;
  text.replace(text.find("  tap %d\n"), std::strlen("  tap %d\n  tap %r\n"), "");
  const Model model = compiled(text, {Execution::Integer, 1, {}});
  std::vector<std::string> ops;
  for (const StepInfo& step : model.program().steps()) ops.push_back(step.op);
  EXPECT_THAT(ops, ElementsAre("Quantize", "Conv2D", "Dequantize"));
}

TEST(Model, InputsAtOddAddressesAreTaken) {
  Model model = compiled(std::string(kTapped));
  const std::vector<float> x{1, 2, -3, 4};
  std::vector<std::byte> shifted(sizeof(float) * 4 + 1);
  std::memcpy(shifted.data() + 1, x.data(), sizeof(float) * 4);
  const TensorView odd{{DType::Float32, {1, 2, 1, 2}}, std::span(shifted).subspan(1)};
  const auto outputs = model(std::vector{odd});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_THAT(floats(outputs.value()[0]), ElementsAre(0, 5));
}

TEST(Model, ErrorsNameTheInputAndWhatWasExpected) {
  Model model = compiled(std::string(kTapped));
  const std::vector<float> x(4);
  EXPECT_THAT(model({}).status().message(), HasSubstr("takes 1 inputs, not 0"));
  EXPECT_THAT(model(std::vector{view({4}, x)}).status().message(),
              HasSubstr("input 'x' is float32[4], expected float32[1, 2, 1, 2]"));
  const TensorView truncated{{DType::Float32, {1, 2, 1, 2}}, std::as_bytes(std::span(x)).first(8)};
  EXPECT_THAT(model(std::vector{truncated}).status().message(), HasSubstr("has 8 bytes"));
  EXPECT_EQ(model({}).status().code(), Code::InvalidArgument);
}

TEST(Model, AFillNeedsItsValue) {
  const auto graph = parse(R"(graph {
  input %x: float32[2]
  %f: float32[2] = fill() {dtype = "float32", shape = [2]}
  %y: float32[2] = add(%x, %f)
  return %y
}
)");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const TensorType type{DType::Float32, {2}};
  EXPECT_THAT(Model::compile_graph(graph.value(), {{"x", type}}, {{"y", type}}).status().message(),
              HasSubstr("attribute value is missing"));
}

// The buffer comes after an input and its new value between two outputs; an input is written too.
TEST(Model, BuffersKeepTheirValuesFromCallToCall) {
  const auto graph = parse(R"(graph {
  input %x: float32[2]
  input %count: float32[2]
  %sum: float32[2] = add(%count, %x)
  %y: float32[2] = mul(%sum, %x)
  return %y, %sum, %count, %y
}
)");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const std::vector<float> first{10, 20};
  const auto bytes = std::as_bytes(std::span(first));
  const TensorType type{DType::Float32, {2}};
  auto model = Model::compile_graph(
      graph.value(), {{"x", type}}, {{"y", type}, {"count", type}}, {},
      {{"count", 1, 1, std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())},
       {"x", 0, 3, nullptr}});
  ASSERT_TRUE(model.ok()) << model.status().message();
  const auto run = [&](const std::vector<float>& x) {
    const auto outputs = model.value()(std::vector{view({2}, x)});
    EXPECT_EQ(outputs.status().message(), "");
    EXPECT_EQ(outputs.value().size(), 2U);
    std::vector<float> all = floats(outputs.value()[0]);
    std::ranges::copy(floats(outputs.value()[1]), std::back_inserter(all));
    return all;
  };
  EXPECT_THAT(run({1, 2}), ElementsAre(11, 44, 10, 20));
  EXPECT_THAT(run({3, 1}), ElementsAre(42, 23, 11, 22));
  const std::vector<float> wrong{1};
  EXPECT_THAT(model.value()(std::vector{view({1}, wrong)}).status().message(), HasSubstr("'x'"));
  EXPECT_THAT(run({0, 1}), ElementsAre(0, 24, 14, 23));
  model.value().reset();
  EXPECT_THAT(run({1, 2}), ElementsAre(11, 44, 10, 20));
  EXPECT_THAT(Model::compile_graph(graph.value(), {{"x", type}}, {{"y", type}}, {},
                                   {{"count", 1, 9, nullptr}})
                  .status()
                  .message(),
              HasSubstr("'count'"));
}

}  // namespace
}  // namespace enn

#include "pt2e/layer_errors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "enn/pt2e.hpp"
#include "ops/common.hpp"
#include "pt2e/test_program.hpp"

namespace enn {
namespace {

using testing::hex;
using testing::program_of;
using testing::random_floats;

constexpr std::uint32_t kSeed = 20;

TensorView view(const Shape& shape, const std::vector<float>& values) {
  return {{DType::Float32, shape}, std::as_bytes(std::span(values))};
}

Graph parsed(const std::string& text) {
  auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return std::move(graph).value();
}

std::vector<NamedType> named(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<NamedType> out;
  for (const ValueId id : ids) out.push_back({graph.value(id).name, graph.value(id).type});
  return out;
}

LayerErrors errors_of(const Graph& floats, const Graph& quantized, int threads = 1,
                      bool with_histograms = false) {
  ModelOptions options;
  options.threads = threads;
  auto errors = LayerErrors::create(floats, quantized, nodes_of_same_name(floats, quantized),
                                    named(floats, floats.inputs()), named(floats, floats.outputs()),
                                    {}, options, with_histograms);
  EXPECT_TRUE(errors.ok()) << errors.status().message();
  return std::move(errors).value();
}

// The layer whose last node has this name.
std::size_t layer_of(const LayerErrors& errors, const Graph& quantized, std::string_view name) {
  for (std::size_t i = 0; i < errors.twin().layers.size(); ++i) {
    if (quantized.value(errors.twin().layers[i].value).name == name) return i;
  }
  ADD_FAILURE() << "no layer " << name;
  return 0;
}

std::string convolution(const std::string& name, const std::string& input,
                        const std::string& weight, int channels) {
  return "  %" + name + ": float32[1, " + std::to_string(channels) + ", 4, 4] = convolution(%" +
         input + ", %" + weight +
         ", none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}\n";
}

// Four convolutions, each but the last with a relu after it.
std::string chain(std::mt19937& random) {
  std::string text = "graph {\n  input %x: float32[1, 4, 4, 4]\n";
  for (int i = 1; i <= 4; ++i) {
    text += "  constant %w" + std::to_string(i) + ": float32[4, 4, 1, 1] = hex " +
            hex(random_floats(16, random)) + "\n";
  }
  std::string input = "x";
  for (int i = 1; i <= 4; ++i) {
    const std::string number = std::to_string(i);
    text += convolution("conv" + number, input, "w" + number, 4);
    if (i == 4) break;
    input = "relu" + number;
    text += "  %" + input + ": float32[1, 4, 4, 4] = relu(%conv" + number + ")\n";
  }
  return text + "  return %conv4\n}\n";
}

struct Planted {
  ExportedProgram program;
  QuantizedModel quantized;
  std::vector<std::vector<float>> samples;
};

// The chain, quantized with the scale of `value` multiplied.
Planted planted(const std::string& value, float factor) {
  std::mt19937 random(kSeed);
  ExportedProgram program = program_of(chain(random));
  std::vector<std::vector<float>> samples;
  for (int i = 0; i < 4; ++i) samples.push_back(random_floats(64, random));
  EnnQuantizer quantizer;
  auto prepared = prepare_pt2e(program, quantizer);
  EXPECT_TRUE(prepared.ok()) << prepared.status().message();
  for (const auto& sample : samples) {
    const TensorView input = view({1, 4, 4, 4}, sample);
    EXPECT_TRUE(prepared.value()({&input, 1}).ok());
  }
  auto quantized = convert_pt2e(prepared.value());
  EXPECT_TRUE(quantized.ok()) << quantized.status().message();
  if (!value.empty()) {
    nlohmann::json document = nlohmann::json::parse(quantized.value().encodings());
    nlohmann::json& scale = document["tensors"][value]["scale"];
    if (scale.is_array()) {
      for (nlohmann::json& item : scale) item = item.get<float>() * factor;
    } else {
      scale = scale.get<float>() * factor;
    }
    const Status status = prepared.value().set_encodings(document.dump());
    EXPECT_TRUE(status.ok()) << status.message();
    quantized = convert_pt2e(prepared.value());
    EXPECT_TRUE(quantized.ok()) << quantized.status().message();
  }
  return {std::move(program), std::move(quantized).value(), std::move(samples)};
}

LayerErrors measured(const Planted& model, int threads = 1) {
  LayerErrors errors =
      errors_of(model.program.graph(), model.quantized.exported_program().graph(), threads);
  for (const auto& sample : model.samples) {
    const TensorView input = view({1, 4, 4, 4}, sample);
    EXPECT_TRUE(errors({&input, 1}).ok());
  }
  return errors;
}

TEST(LayerErrors, AConvolutionAndItsReluAreOneLayer) {
  const Planted model = planted("", 1);
  const Graph& quantized = model.quantized.exported_program().graph();
  const LayerErrors errors = measured(model);
  ASSERT_EQ(errors.twin().layers.size(), 4);
  EXPECT_EQ(errors.samples(), 4);
  std::vector<std::string> names;
  for (const TwinLayer& layer : errors.twin().layers) {
    for (const NodeId id : layer.nodes) names.push_back(quantized.node(id).name);
  }
  EXPECT_THAT(
      names, ::testing::ElementsAre("conv1", "relu1", "conv2", "relu2", "conv3", "relu3", "conv4"));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_GT(errors.isolated(i).sqnr(), 30) << i;
    EXPECT_GT(errors.isolated(i).cosine(), 0.999) << i;
  }
  // Nothing comes before the first layer.
  EXPECT_EQ(errors.isolated(0).sqnr(), errors.accumulated(0).sqnr());
  EXPECT_GT(errors.isolated(3).sqnr(), errors.accumulated(3).sqnr());
  ASSERT_EQ(errors.twin().outputs.size(), 1);
  // Summed in another order: outputs lie in the order of their shape.
  EXPECT_NEAR(errors.output(0).sqnr(), errors.accumulated(3).sqnr(), 1e-5);
  EXPECT_EQ(errors.twin().layers[2].operands, std::vector<std::size_t>{1});
}

TEST(LayerErrors, AWrongRangeOfAResultIsItsLayers) {
  const Planted model = planted("relu2", 24);
  const Graph& quantized = model.quantized.exported_program().graph();
  const LayerErrors errors = measured(model);
  const std::size_t wrong = layer_of(errors, quantized, "relu2");
  EXPECT_LT(errors.isolated(wrong).sqnr(), 20);
  for (const char* name : {"relu1", "conv4"}) {
    EXPECT_GT(errors.isolated(layer_of(errors, quantized, name)).sqnr(), 30) << name;
  }
  // The layer that reads it suffers, but did not do it.
  const std::size_t reader = layer_of(errors, quantized, "relu3");
  EXPECT_LT(errors.isolated(reader).sqnr(), 20);
  for (std::size_t i = 0; i < errors.twin().layers.size(); ++i) {
    if (i == wrong) continue;
    EXPECT_LT(errors.own_noise(i) * 4, errors.own_noise(wrong)) << i;
  }
  EXPECT_LT(errors.accumulated(layer_of(errors, quantized, "conv4")).sqnr(), 25);
}

TEST(LayerErrors, AWrongRangeOfAWeightIsItsLayersAlone) {
  const Planted model = planted("w3", 30);
  const Graph& quantized = model.quantized.exported_program().graph();
  const LayerErrors errors = measured(model);
  const std::size_t wrong = layer_of(errors, quantized, "relu3");
  EXPECT_LT(errors.isolated(wrong).sqnr(), 20);
  for (const char* name : {"relu1", "relu2", "conv4"}) {
    const std::size_t layer = layer_of(errors, quantized, name);
    EXPECT_GT(errors.isolated(layer).sqnr(), 30) << name;
    EXPECT_LT(errors.own_noise(layer) * 10, errors.own_noise(wrong)) << name;
  }
  for (std::size_t i = 0; i < errors.twin().quantizations.size(); ++i) {
    const TwinQuantization& quantization = errors.twin().quantizations[i];
    const bool is_wrong =
        quantization.constant && errors.twin().graph.value(quantization.reference).name == "w3";
    EXPECT_EQ(errors.rounding(i).sqnr() < 20, is_wrong) << i;
  }
}

TEST(LayerErrors, AClippedValueIsCounted) {
  const Planted model = planted("relu2", 0.25F);
  const Graph& quantized = model.quantized.exported_program().graph();
  const LayerErrors errors = measured(model);
  for (std::size_t i = 0; i < errors.twin().quantizations.size(); ++i) {
    const TwinQuantization& quantization = errors.twin().quantizations[i];
    const bool is_wrong = quantized.value(quantization.value).name == "relu2";
    EXPECT_EQ(errors.clipped(i) > 0, is_wrong) << i;
    if (!is_wrong) continue;
    // Half a step beyond 255 steps above zero.
    std::uint64_t beyond = 0;
    const float high = 255.5F * quantization.params.scale();
    Graph graph = model.program.graph();
    graph.set_outputs({quantization.reference});
    auto until = Model::compile_graph(graph, model.program.inputs(), named(graph, graph.outputs()));
    ASSERT_TRUE(until.ok()) << until.status().message();
    for (const auto& sample : model.samples) {
      const TensorView input = view({1, 4, 4, 4}, sample);
      const auto result = until.value()({&input, 1});
      ASSERT_TRUE(result.ok());
      std::vector<float> values(64);
      std::memcpy(values.data(), result.value()[0].bytes.data(), 256);
      for (const float value : values) beyond += value > high ? 1U : 0U;
    }
    EXPECT_EQ(errors.clipped(i), beyond);
  }
}

// x -> 0.75 x -> its half, with all in steps of a quarter but the middle, which is in wholes.
constexpr const char* kFloat = R"(graph {
  input %x: float32[6]
  constant %a: float32[] = hex 0000403f
  constant %b: float32[] = hex 0000003f
  %first: float32[6] = mul(%x, %a)
  %second: float32[6] = mul(%first, %b)
  return %second
}
)";
constexpr const char* kQuantized = R"(graph {
  input %x: float32[6]
  constant %a: float32[] = hex 0000403f
  constant %b: float32[] = hex 0000003f
  %q: int8[6] = quantize(%x) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = 0}
  %d: float32[6] = dequantize(%q) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = 0}
  %first: float32[6] = mul(%d, %a)
  %q1: int8[6] = quantize(%first) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 1.0, zero_point = 0}
  %d1: float32[6] = dequantize(%q1) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 1.0, zero_point = 0}
  %second: float32[6] = mul(%d1, %b)
  %q2: int8[6] = quantize(%second) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = 0}
  %d2: float32[6] = dequantize(%q2) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.25, zero_point = 0}
  return %d2
}
)";

TEST(LayerErrors, ByPlainArithmetic) {
  const Graph floats = parsed(kFloat);
  const Graph quantized = parsed(kQuantized);
  const std::vector<float> x{0.3F, -1.1F, 2.9F, 7.77F, -40.0F, 3.14F};
  const auto rounded = [](float value, float scale) {
    const float steps = std::nearbyint(value / scale);
    return std::min(std::max(steps, -128.0F), 127.0F) * scale;
  };
  // Noise and signal of each layer, isolated and accumulated.
  double isolated[2] = {0, 0};
  double accumulated[2] = {0, 0};
  double signal[2] = {0, 0};
  double largest = 0;
  for (const float value : x) {
    const float first = value * 0.75F;
    const float second = first * 0.5F;
    const float first_isolated = rounded(rounded(value, 0.25F) * 0.75F, 1.0F);
    const float second_isolated = rounded(rounded(first, 1.0F) * 0.5F, 0.25F);
    const float second_accumulated = rounded(first_isolated * 0.5F, 0.25F);
    const auto square = [](float a) { return static_cast<double>(a) * static_cast<double>(a); };
    signal[0] += square(first);
    signal[1] += square(second);
    isolated[0] += square(first - first_isolated);
    isolated[1] += square(second - second_isolated);
    accumulated[0] += square(first - first_isolated);
    accumulated[1] += square(second - second_accumulated);
    largest = std::max(largest, static_cast<double>(std::fabs(second - second_isolated)));
  }
  LayerErrors errors = errors_of(floats, quantized, 1, true);
  const TensorView input = view({6}, x);
  for (int run = 0; run < 2; ++run) ASSERT_TRUE(errors({&input, 1}).ok());
  ASSERT_EQ(errors.twin().layers.size(), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_DOUBLE_EQ(errors.isolated(i).sqnr(), 10 * std::log10(signal[i] / isolated[i])) << i;
    EXPECT_DOUBLE_EQ(errors.accumulated(i).sqnr(), 10 * std::log10(signal[i] / accumulated[i]));
    EXPECT_EQ(errors.isolated(i).count(), 12);
  }
  EXPECT_DOUBLE_EQ(errors.isolated(1).max_difference(), largest);
  // x reaches -32 to 31.75 only.
  ASSERT_EQ(errors.twin().quantizations.size(), 3);
  EXPECT_EQ(errors.clipped(0), 2);
  EXPECT_EQ(errors.clipped(1), 0);
  EXPECT_DOUBLE_EQ(errors.rounding(0).max_difference(), 8.0);
  const SeenValues* seen = errors.seen(errors.twin().quantizations[0].reference);
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->sums.low, -40.0F);
  EXPECT_EQ(seen->histogram.high, 7.77F);
  EXPECT_EQ(std::accumulate(seen->histogram.counts.begin(), seen->histogram.counts.end(), 0.0F),
            12.0F);
}

TEST(LayerErrors, OneLayerAloneIsWhatItMakesInTheOutputs) {
  const Planted model = planted("w3", 30);
  const LayerErrors errors = measured(model);
  std::vector<std::vector<Tensor>> samples;
  for (const auto& sample : model.samples) {
    const auto bytes = std::as_bytes(std::span(sample));
    samples.push_back({{{DType::Float32, {1, 4, 4, 4}}, {bytes.begin(), bytes.end()}}});
  }
  std::vector<std::size_t> done;
  const auto alone = errors.alone(samples, [&](std::size_t layers) { done.push_back(layers); });
  ASSERT_TRUE(alone.ok()) << alone.status().message();
  EXPECT_THAT(done, ::testing::ElementsAre(1, 2, 3, 4));
  // The last layer's result is the output; nothing is quantized before the first.
  // Squares are summed in float32 first, 16 at a time.
  EXPECT_NEAR(alone.value()[3].sqnr(), errors.isolated(3).sqnr(), 1e-4);
  for (const std::size_t i : {0U, 1U, 3U})
    EXPECT_GT(alone.value()[i].sqnr(), alone.value()[2].sqnr() + 10) << i;
}

// Each model keeps a sum of its own: the float one exactly, the quantized one in steps of a half.
TEST(LayerErrors, BuffersOfBothModelsAreTheirOwn) {
  const std::string head = "graph {\n  input %kept: float32[3]\n  input %x: float32[3]\n";
  const std::string sum = "  %sum: float32[3] = add(%kept, %x)\n";
  const std::string attributes =
      "quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 0}\n";
  const Graph floats = parsed(head + sum + "  return %sum, %sum\n}\n");
  const Graph quantized =
      parsed(head + sum + "  %q: int8[3] = quantize(%sum) {dtype = \"int8\", " + attributes +
             "  %d: float32[3] = dequantize(%q) {dtype = " + "\"float32\", " + attributes +
             "  return %d, %d\n}\n");
  const std::vector<float> zeros(3);
  Mutation mutation{"kept", 0, 0, nullptr};
  const auto bytes = std::as_bytes(std::span(zeros));
  mutation.initial = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  const NamedType x{"x", {DType::Float32, {3}}};
  const NamedType y{"sum", {DType::Float32, {3}}};
  auto errors = LayerErrors::create(floats, quantized, nodes_of_same_name(floats, quantized), {x},
                                    {y}, {mutation}, {});
  ASSERT_TRUE(errors.ok()) << errors.status().message();
  const std::vector<std::vector<float>> samples{{0.2F, 0.3F, 1}, {0.2F, 0.3F, 1}, {0.2F, 0.3F, 1}};
  std::vector<float> exact(3);
  std::vector<float> rounded(3);
  double signal = 0;
  double accumulated = 0;
  double isolated = 0;
  for (const auto& sample : samples) {
    const TensorView input = view({3}, sample);
    ASSERT_TRUE(errors.value()({&input, 1}).ok());
    for (std::size_t i = 0; i < 3; ++i) {
      exact[i] += sample[i];
      rounded[i] = std::nearbyint((rounded[i] + sample[i]) * 2) / 2;
      const auto square = [](float a) { return static_cast<double>(a) * static_cast<double>(a); };
      signal += square(exact[i]);
      accumulated += square(exact[i] - rounded[i]);
      isolated += square(exact[i] - std::nearbyint(exact[i] * 2) / 2);
    }
  }
  ASSERT_EQ(errors.value().twin().layers.size(), 1);
  EXPECT_DOUBLE_EQ(errors.value().accumulated(0).sqnr(), 10 * std::log10(signal / accumulated));
  EXPECT_DOUBLE_EQ(errors.value().isolated(0).sqnr(), 10 * std::log10(signal / isolated));
}

TEST(LayerErrors, PeaksOfChannelsAreTheValues) {
  const Planted model = planted("", 1);
  const Graph& floats = model.program.graph();
  const Graph& quantized = model.quantized.exported_program().graph();
  LayerErrors errors = errors_of(floats, quantized, 2, true);
  std::vector<float> expected(4);
  for (const auto& sample : model.samples) {
    const TensorView input = view({1, 4, 4, 4}, sample);
    ASSERT_TRUE(errors({&input, 1}).ok());
    for (std::size_t i = 0; i < sample.size(); ++i)
      expected[i / 16] = std::max(expected[i / 16], std::fabs(sample[i]));
  }
  EXPECT_EQ(errors.seen(floats.inputs().front())->channel_peaks, expected);
  // Of channels that lie last in memory, the same as of the whole.
  const std::size_t layer = layer_of(errors, quantized, "relu2");
  const SeenValues* seen = errors.seen(errors.twin().layers[layer].reference);
  ASSERT_EQ(seen->channel_peaks.size(), 4);
  EXPECT_EQ(*std::ranges::max_element(seen->channel_peaks), seen->sums.high);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(LayerErrors, WhatIsKeptDoesNotGrowWithTheSamples) {
  const Planted model = planted("", 1);
  LayerErrors errors =
      errors_of(model.program.graph(), model.quantized.exported_program().graph(), 1, true);
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      for (const auto& sample : model.samples) {
        const TensorView input = view({1, 4, 4, 4}, sample);
        ASSERT_TRUE(errors({&input, 1}).ok());
      }
    }
  };
  run(1);
  const std::size_t before = mallinfo2().uordblks;
  run(50);
  EXPECT_EQ(mallinfo2().uordblks, before);
}
#endif

// Sums have one order whatever the number of threads is.
TEST(LayerErrors, ThreadsMakeNoDifference) {
  std::mt19937 random(kSeed);
  std::vector<float> values = random_floats(100003, random);
  QuantParams params;
  params.scales = {0.01F};
  params.zero_points = {5};
  SerialParallel serial;
  const auto pool = make_thread_pool(3);
  const FloatSums one = sums_of(values, serial);
  const FloatSums three = sums_of(values, *pool);
  EXPECT_EQ(one.squares, three.squares);
  EXPECT_EQ(one.magnitudes, three.magnitudes);
  const ErrorSums rounding = errors_of(values, values, &params, serial);
  EXPECT_EQ(rounding.errors, errors_of(values, values, &params, *pool).errors);
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  EXPECT_NEAR(one.squares, squares, 1e-6 * squares);  // 16 at a time are summed in float32
  // What is not finite is left out, of the others nothing.
  values[7] = std::numeric_limits<float>::infinity();
  values[50000] = std::numeric_limits<float>::quiet_NaN();
  const FloatSums finite = sums_of(values, *pool);
  EXPECT_EQ(finite.not_finite, 2);
  EXPECT_EQ(finite.count, 100001);
  EXPECT_NEAR(finite.squares, squares, 1e-3 * squares);
  const ErrorSums errors = errors_of(values, values, &params, *pool);
  EXPECT_TRUE(std::isfinite(errors.errors));
  EXPECT_EQ(errors.not_finite, 2);
}

}  // namespace
}  // namespace enn

#include "analysis/analysis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "enn/pt2e.hpp"
#include "pt2e/test_program.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::hex;
using testing::program_of;
using testing::random_floats;

constexpr std::uint32_t kSeed = 20;

// Four convolutions of four channels, a relu after each but the last. Channel 1 of the second has
// `factor` times its size, and the third takes it back.
std::string chain(std::mt19937& random, float factor = 1) {
  std::string text = "graph {\n  input %x: float32[1, 4, 4, 4]\n";
  std::string body;
  std::string input = "x";
  for (int i = 1; i <= 4; ++i) {
    std::vector<float> weight = random_floats(16, random);
    for (std::size_t c = 0; c < 4; ++c) {
      if (i == 2) weight[4 + c] *= factor;
      if (i == 3) weight[4 * c + 1] /= factor;
    }
    const std::string n = std::to_string(i);
    text += "  constant %w" + n + ": float32[4, 4, 1, 1] = hex " + hex(weight) + "\n";
    body += "  %conv" + n + ": float32[1, 4, 4, 4] = convolution(%" + input + ", %w" + n +
            ", none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}\n";
    if (i == 4) break;
    input = "relu" + n;
    body += "  %" + input + ": float32[1, 4, 4, 4] = relu(%conv" + n + ")\n";
  }
  return text + body + "  return %conv4\n}\n";
}

using Samples = std::vector<std::vector<float>>;

QuantizedModel quantized(const ExportedProgram& program, const Samples& samples,
                         const std::string& value = "", float factor = 1) {
  EnnQuantizer quantizer;
  // The guard leaves what is planted in float.
  EXPECT_TRUE(quantizer.set_guard(std::nullopt).ok());
  auto prepared = prepare_pt2e(program, quantizer);
  EXPECT_TRUE(prepared.ok()) << prepared.status().message();
  for (const auto& sample : samples) {
    const TensorView input{{DType::Float32, {1, 4, 4, 4}}, std::as_bytes(std::span(sample))};
    EXPECT_TRUE(prepared.value()({&input, 1}).ok());
  }
  auto model = convert_pt2e(prepared.value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (value.empty()) return std::move(model).value();
  auto document = nlohmann::json::parse(model.value().encodings());
  document["tensors"][value]["scale"] = document["tensors"][value]["scale"].get<float>() * factor;
  EXPECT_EQ(prepared.value().set_encodings(document.dump()).message(), "");
  model = convert_pt2e(prepared.value());
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

AnalysisReport report_of(Result<Analysis> analysis, const Samples& samples, const Shape& shape) {
  EXPECT_TRUE(analysis.ok()) << analysis.status().message();
  for (const auto& sample : samples) {
    const TensorView input{{DType::Float32, shape}, std::as_bytes(std::span(sample))};
    const auto outputs = analysis.value()({&input, 1});
    EXPECT_TRUE(outputs.ok()) << outputs.status().message();
  }
  auto report = analysis.value().report();
  EXPECT_TRUE(report.ok()) << report.status().message();
  return std::move(report).value();
}

struct Chain {
  explicit Chain(const std::string& value = "", float factor = 1, float outlier = 1) {
    std::mt19937 random(kSeed);
    program.emplace(program_of(chain(random, outlier)));
    for (int i = 0; i < 4; ++i) samples.push_back(random_floats(64, random));
    model.emplace(quantized(*program, samples, value, factor));
  }
  [[nodiscard]] AnalysisReport report(const AnalysisOptions& options = {}) const {
    return report_of(Analysis::create(*program, model->exported_program(), options), samples,
                     {1, 4, 4, 4});
  }

  std::optional<ExportedProgram> program;
  Samples samples;
  std::optional<QuantizedModel> model;
};

const LayerAnalysis& layer_of(const AnalysisReport& report, std::string_view name) {
  for (const LayerAnalysis& layer : report.layers) {
    if (layer.name == name) return layer;
  }
  ADD_FAILURE() << "no layer " << name;
  return report.layers.front();
}

TEST(Analysis, AGoodModelNeedsNoHelp) {
  const AnalysisReport report = Chain().report();
  ASSERT_EQ(report.layers.size(), 4);
  EXPECT_EQ(report.samples, 4);
  double total = 0;
  for (const LayerAnalysis& layer : report.layers) {
    EXPECT_GT(layer.isolated.sqnr, 30) << layer.name;
    EXPECT_TRUE(layer.remedies.empty()) << layer.name << ": " << layer.remedies.front().text;
    total += layer.contribution;
  }
  EXPECT_NEAR(total, 1.0, 1e-12);
  EXPECT_THAT(report.layers[0].nodes, ElementsAre("conv1", "relu1"));
  EXPECT_THAT(report.layers[0].reads, ElementsAre("x"));
  EXPECT_EQ(report.layers[0].op, "convolution");
  ASSERT_EQ(report.layers[0].weights.size(), 1);
  EXPECT_EQ(report.layers[0].weights[0].name, "w1");
  EXPECT_EQ(report.layers[0].weights[0].channel_scales.size(), 4);
  ASSERT_EQ(report.inputs.size(), 1);
  EXPECT_EQ(report.inputs[0].name, "x");
  ASSERT_EQ(report.outputs.size(), 1);
  EXPECT_EQ(report.outputs[0].name, "conv4");
  EXPECT_NEAR(report.outputs[0].error.sqnr, report.layers[3].accumulated.sqnr, 1e-5);
}

TEST(Analysis, AWrongRangeIsNamed) {
  const AnalysisReport report = Chain("relu2", 24).report();
  const LayerAnalysis& first = report.layers[report.ranking.front()];
  EXPECT_EQ(first.name, "relu2");
  EXPECT_GT(first.contribution, 0.5);
  ASSERT_FALSE(first.remedies.empty());
  EXPECT_EQ(first.remedies[0].kind, "range");
  EXPECT_THAT(first.remedies[0].text, HasSubstr("its result is quantized to [0, "));
  const LayerAnalysis& reader = layer_of(report, "relu3");
  ASSERT_EQ(reader.remedies.size(), 1);
  EXPECT_EQ(reader.remedies[0].kind, "operand");
  EXPECT_THAT(reader.remedies[0].text, HasSubstr("'relu2'"));
}

TEST(Analysis, AClippedRangeIsNamed) {
  const AnalysisReport report = Chain("relu2", 0.25F).report();
  const LayerAnalysis& first = report.layers[report.ranking.front()];
  EXPECT_EQ(first.name, "relu2");
  ASSERT_FALSE(first.remedies.empty());
  EXPECT_EQ(first.remedies[0].kind, "range");
  EXPECT_THAT(first.remedies[0].text, HasSubstr("% of its result lie outside of"));
}

TEST(Analysis, AnOutlierChannelIsNamed) {
  const AnalysisReport report = Chain("", 1, 200).report();
  const LayerAnalysis& first = report.layers[report.ranking.front()];
  EXPECT_EQ(first.name, "relu3");
  ASSERT_FALSE(first.remedies.empty());
  EXPECT_EQ(first.remedies[0].kind, "equalize");
  EXPECT_THAT(first.remedies[0].text, HasSubstr("channel 1 of 'relu2', which it reads, reaches"));
}

// Boxes and scores in one output, with the boxes' scale.
TEST(Analysis, AConcatenationOfDifferentRangesIsNamed) {
  const std::string head = R"(graph {
  input %x: float32[1, 8]
  constant %large: float32[] = hex 0000c842
  constant %small: float32[] = hex 0000003e
)";
  const auto qdq = [](const std::string& name, const std::string& of, int size, float scale) {
    const std::string type = "[1, " + std::to_string(size) + "]";
    const std::string attributes =
        "quant_max = 127, quant_min = -128, scale = " + std::to_string(scale) +
        ", zero_point = 0}\n";
    return "  %" + name + "_q: int8" + type + " = quantize(%" + of + ") {dtype = \"int8\", " +
           attributes + "  %" + name + ": float32" + type + " = dequantize(%" + name +
           "_q) {dtype = \"float32\", " + attributes;
  };
  const auto body = [](const std::string& suffix) {
    return "  %joined: float32[1, 16] = concat(%boxes" + suffix + ", %scores" + suffix +
           ") {dim = 1}\n";
  };
  const std::string boxes = "  %boxes: float32[1, 8] = mul(%x, %large)\n";
  const std::string scores = "  %scores: float32[1, 8] = mul(%x, %small)\n";
  const auto floats = parse(head + boxes + scores + body("") + "  return %joined\n}\n");
  ASSERT_TRUE(floats.ok()) << floats.status().message();
  const auto with_scales = parse(head + boxes + qdq("boxes_d", "boxes", 8, 2.5F) + scores +
                                 qdq("scores_d", "scores", 8, 2.5F) + body("_d") +
                                 qdq("y", "joined", 16, 2.5F) + "  return %y\n}\n");
  ASSERT_TRUE(with_scales.ok()) << with_scales.status().message();
  std::mt19937 random(kSeed);
  const NamedType input{"x", {DType::Float32, {1, 8}}};
  const NamedType output{"joined", {DType::Float32, {1, 16}}};
  const AnalysisReport report =
      report_of(analyze_graphs(floats.value(), with_scales.value(), {input}, {output}, {}, {}),
                {random_floats(8, random), random_floats(8, random)}, {1, 8});
  // All of the output together looks well.
  EXPECT_GT(report.outputs[0].error.sqnr, 30);
  const LayerAnalysis& first = report.layers[report.ranking.front()];
  EXPECT_EQ(first.name, "scores");
  for (const LayerAnalysis* layer : {&first, &layer_of(report, "joined")}) {
    ASSERT_FALSE(layer->remedies.empty());
    EXPECT_EQ(layer->remedies[0].kind, "separate_scales");
    EXPECT_THAT(layer->remedies[0].text, HasSubstr("exclude_node(\"joined\")"));
  }
}

TEST(Analysis, MeasuresWhatALayerAloneDoesToTheOutputs) {
  AnalysisOptions options;
  options.sensitivity_samples = 2;
  const AnalysisReport report = Chain("relu2", 24).report(options);
  double total = 0;
  for (const LayerAnalysis& layer : report.layers) {
    ASSERT_TRUE(layer.alone.has_value());
    total += layer.contribution;
  }
  EXPECT_NEAR(total, 1.0, 1e-12);
  EXPECT_EQ(report.layers[report.ranking.front()].name, "relu2");
}

TEST(Analysis, ComparesTheOutputsOfOtherPrograms) {
  Chain chain;
  auto analysis = Analysis::create(*chain.program, chain.model->exported_program());
  ASSERT_TRUE(analysis.ok()) << analysis.status().message();
  for (const auto& sample : chain.samples) {
    const TensorView input{{DType::Float32, {1, 4, 4, 4}}, std::as_bytes(std::span(sample))};
    const auto exact = analysis.value()({&input, 1});
    ASSERT_TRUE(exact.ok());
    const auto outputs = (*chain.model)({&input, 1});
    ASSERT_TRUE(outputs.ok());
    const TensorView same = exact.value()[0].view();
    const TensorView other = outputs.value()[0].view();
    ASSERT_EQ(analysis.value().compare("float", {&same, 1}).message(), "");
    ASSERT_EQ(analysis.value().compare("quantized", {&other, 1}).message(), "");
    const TensorView wrong{{DType::Float32, {64}}, other.bytes};
    EXPECT_THAT(analysis.value().compare("wrong", {&wrong, 1}).message(),
                HasSubstr("output 0 of 'wrong' is float32[64], the float model's is float32[1, 4"));
  }
  const auto report = analysis.value().report();
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report.value().programs.size(), 2);
  EXPECT_TRUE(std::isinf(report.value().programs[0].second[0].error.sqnr));
  EXPECT_NEAR(report.value().programs[1].second[0].error.sqnr, report.value().outputs[0].error.sqnr,
              1e-5);
}

TEST(Analysis, WritesTextJsonAndHtml) {
  const AnalysisReport report = Chain("relu2", 24).report();
  const auto document = nlohmann::json::parse(report.to_json());
  EXPECT_EQ(document["format"], "openenn.analysis");
  EXPECT_EQ(document["version"], 1);
  ASSERT_EQ(document["layers"].size(), 4);
  EXPECT_EQ(document["layers"][1]["result"]["name"], "relu2");
  EXPECT_EQ(document["layers"][1]["isolated"]["sqnr"], report.layers[1].isolated.sqnr);
  EXPECT_EQ(document["ranking"][0], 1);
  const std::string text = report.to_text(2);
  EXPECT_THAT(text, HasSubstr("4 samples, 4 layers; the 2 that contribute most:\n"));
  EXPECT_THAT(text, HasSubstr("    range: its result is quantized to"));
  EXPECT_THAT(text, HasSubstr("output 'conv4': "));
  const std::string page = report.to_html("<a&b>");
  EXPECT_THAT(page, HasSubstr("<title>&lt;a&amp;b&gt;</title>"));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
}

TEST(Analysis, OtherModelsAreRefused) {
  const Chain chain;
  const auto floats = Analysis::create(*chain.program, *chain.program);
  EXPECT_THAT(floats.status().message(), HasSubstr("has no quantize and dequantize operators"));
  const auto twice =
      Analysis::create(chain.model->exported_program(), chain.model->exported_program());
  EXPECT_THAT(twice.status().message(), HasSubstr("the first model is quantized"));
  const auto other =
      Analysis::create(program_of(testing::kSmallModel), chain.model->exported_program());
  EXPECT_THAT(other.status().message(), HasSubstr("input 0 is float32[1, 1, 2, 2] in the float"));
  const auto unseen = Analysis::create(*chain.program, chain.model->exported_program());
  ASSERT_TRUE(unseen.ok());
  EXPECT_THAT(unseen.value().report().status().message(), HasSubstr("has seen no sample"));
}

}  // namespace
}  // namespace enn

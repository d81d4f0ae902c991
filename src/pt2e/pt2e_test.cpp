#include "enn/pt2e.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "pt2e/test_program.hpp"

namespace enn {
namespace {

using ::testing::HasSubstr;
using testing::kSmallModel;
using testing::program_of;
using testing::view_of;

PreparedModel prepared(const char* observer = "minmax") {
  EnnQuantizer quantizer;
  EXPECT_TRUE(quantizer.set_observer(observer).ok());
  auto model = prepare_pt2e(program_of(kSmallModel), quantizer);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

void calibrate(PreparedModel& model, const std::vector<float>& values) {
  const TensorView input = view_of(values);
  const auto outputs = model({&input, 1});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
}

// conv + norm: 2 * 2 x + 1. Of x in [-1, 4]: relu in [0, 17], its sum with x in [-1, 21].
TEST(Pt2e, ObservesFoldsAndQuantizes) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 1, 2});
  calibrate(model, {0, 3, 4, 1});
  EXPECT_EQ(model.samples(), 2);
  const auto quantized = convert_pt2e(model);
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  const auto tensors = nlohmann::json::parse(quantized.value().encodings())["tensors"];
  const auto scale = [&](const char* name) { return tensors[name]["scale"].get<float>(); };
  EXPECT_EQ(scale("x"), 5.0F / 255.0F);
  EXPECT_EQ(tensors["x"]["zero_point"], -77);
  EXPECT_EQ(scale("relu"), 17.0F / 255.0F);
  EXPECT_EQ(tensors["relu"]["zero_point"], -128);
  EXPECT_EQ(tensors["pool"]["scale"], tensors["relu"]["scale"]);
  EXPECT_EQ(scale("sum"), 22.0F / 255.0F);
  EXPECT_EQ(tensors["w_fused"]["scale"][0].get<float>(), 4.0F / 127.0F);
  EXPECT_EQ(tensors["w_fused"]["axis"], 0);
  EXPECT_EQ(tensors["sum"]["min"], -1.0);
  EXPECT_EQ(tensors["sum"]["max"], 21.0);
  EXPECT_EQ(quantized.value().encodings_hash().size(), 64);
  const Graph& graph = quantized.value().exported_program().graph();
  const std::string text = print(graph);
  EXPECT_THAT(text, HasSubstr("int8[1, 1, 1, 1] = hex 7f"));  // 4 / (4 / 127)
  EXPECT_EQ(text.find("batch_norm"), std::string::npos);
}

TEST(Pt2e, EachAnnotatedReaderHasItsOwnDequantize) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 1, 2});
  const auto quantized = convert_pt2e(model);
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  const Graph& graph = quantized.value().exported_program().graph();
  int quantizes = 0;
  int dequantizes = 0;
  for (const NodeId id : graph.order()) {
    quantizes += graph.node(id).op == Op::Quantize ? 1 : 0;
    if (graph.node(id).op != Op::Dequantize) continue;
    ++dequantizes;
    const ValueId result = graph.node(id).outputs.front();
    EXPECT_EQ(graph.users(result).size() + (graph.is_output(result) ? 1 : 0), 1);
  }
  EXPECT_EQ(quantizes, 4);    // x, relu, pool, sum; the weight is folded
  EXPECT_EQ(dequantizes, 6);  // x twice, w, relu, pool, sum
}

TEST(Pt2e, EvaluatesAsPyTorchDoesAndInIntegers) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 4, 2});
  auto quantized = convert_pt2e(model);
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  const std::vector<float> values{-1, 0, 4, 2};
  const TensorView input = view_of(values);
  for (const Execution execution : {Execution::Qdq, Execution::Integer}) {
    const auto outputs = quantized.value()({&input, 1}, execution);
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    std::vector<float> results(4);
    std::memcpy(results.data(), outputs.value()[0].bytes.data(), 16);
    for (std::size_t i = 0; i < 4; ++i) {
      const float expected = std::max(4 * values[i] + 1, 0.0F) + values[i];
      EXPECT_NEAR(results[i], expected, 0.15F) << i;
    }
  }
}

TEST(Pt2e, StatisticsResumeAndMerge) {
  for (const char* observer : {"minmax", "histogram", "moving_average", "kl"}) {
    PreparedModel first = prepared(observer);
    calibrate(first, {-1, 0, 1, 2});
    PreparedModel resumed = prepared(observer);
    ASSERT_TRUE(resumed.merge_statistics(first.statistics()).ok());
    EXPECT_EQ(resumed.statistics(), first.statistics());
    calibrate(first, {0, 3, 4, 1});
    calibrate(resumed, {0, 3, 4, 1});
    EXPECT_EQ(resumed.statistics(), first.statistics());
  }
  PreparedModel model = prepared();
  EXPECT_THAT(model.merge_statistics(prepared("kl").statistics()).message(),
              HasSubstr("another configuration"));
  EnnQuantizer quantizer;
  ASSERT_TRUE(quantizer.set_observer("minmax").ok());
  const auto other = prepare_pt2e(program_of(R"(graph {
    input %x: float32[1, 1, 2, 2]
    constant %half: float32[] = hex 0000003f
    %r: float32[1, 1, 2, 2] = mul(%x, %half)
    return %r })"),
                                  quantizer);
  ASSERT_TRUE(other.ok()) << other.status().message();
  EXPECT_THAT(model.merge_statistics(other.value().statistics()).message(),
              HasSubstr("another model"));
}

TEST(Pt2e, EncodingsComeBackInBothFormats) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 1, 2});
  const auto quantized = convert_pt2e(model);
  ASSERT_TRUE(quantized.ok());
  const auto aimet = nlohmann::json::parse(quantized.value().aimet_encodings());
  EXPECT_EQ(aimet["version"], "1.0.0");
  EXPECT_EQ(aimet["param_encodings"][0]["offset"], std::vector<int>{-128});
  EXPECT_EQ(aimet["param_encodings"][0]["is_sym"], true);
  EXPECT_EQ(aimet["activation_encodings"][0]["name"], "x");
  EXPECT_EQ(aimet["activation_encodings"][0]["offset"], std::vector<int>{-85});  // of [-1, 2]
  for (const std::string& text :
       {quantized.value().encodings(), quantized.value().aimet_encodings()}) {
    PreparedModel fresh = prepared("kl");
    ASSERT_EQ(fresh.set_encodings(text).message(), "");
    const auto again = convert_pt2e(fresh);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(print(again.value().exported_program().graph()),
              print(quantized.value().exported_program().graph()));
    if (text == quantized.value().encodings()) {
      EXPECT_EQ(again.value().encodings(), text);
      EXPECT_EQ(again.value().encodings_hash(), quantized.value().encodings_hash());
    }
  }
}

// x in [-1, 2]: scale 3 / 255, zero point -43 of int8; w symmetric.
TEST(Pt2e, ReadsEveryFormatOfAimet) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 1, 2});
  const std::string expected = print(convert_pt2e(model).value().exported_program().graph());
  const auto ours = nlohmann::json::parse(convert_pt2e(model).value().encodings())["tensors"];
  nlohmann::json legacy = {{"version", "0.6.1"}};
  nlohmann::json newest = {{"version", "2.0.0"}};
  for (const auto& [name, encoding] : ours.items()) {
    const char* member = encoding.contains("axis") ? "param_encodings" : "activation_encodings";
    newest[member].push_back({{"name", name},
                              {"output_dtype", "int8"},
                              {"y_scale", encoding["scale"]},
                              {"y_zero_point", encoding["zero_point"]}});
    if (encoding["scale"].is_array()) {
      newest[member].back().erase("y_zero_point");  // 0 when left out
      for (const auto& scale : encoding["scale"])
        legacy[member][name].push_back(
            {{"bitwidth", 8}, {"dtype", "int"}, {"scale", scale}, {"offset", -128}});
    } else {
      // Older versions do not name the type, and write offsets with a decimal point.
      const double offset = -encoding["zero_point"].get<double>() - 128;
      legacy[member][name].push_back({{"bitwidth", 8},
                                      {"is_symmetric", "False"},
                                      {"scale", encoding["scale"]},
                                      {"offset", offset}});
    }
  }
  legacy["param_encodings"]["bias"] = {{{"bitwidth", 32}, {"dtype", "int"}}};
  for (const nlohmann::json& document : {legacy, newest}) {
    PreparedModel fresh = prepared("kl");
    ASSERT_EQ(fresh.set_encodings(document.dump()).message(), "");
    EXPECT_EQ(print(convert_pt2e(fresh).value().exported_program().graph()), expected);
  }
  legacy["version"] = "0.7";
  EXPECT_THAT(model.set_encodings(legacy.dump()).message(), HasSubstr("version '0.7'"));
  newest["param_encodings"][0]["output_dtype"] = "int4";
  EXPECT_THAT(model.set_encodings(newest.dump()).message(), HasSubstr("not int8 or uint8"));
}

TEST(Pt2e, WhatNoScaleFollowsFromIsAnErrorThatNamesTheValue) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const char* observer : {"minmax", "moving_average", "histogram", "mse"}) {
    for (const auto& [value, expected] :
         {std::pair(kInfinity, "infinite"), std::pair(-kInfinity, "infinite"),
          std::pair(kNan, "NaN")}) {
      PreparedModel model = prepared(observer);
      calibrate(model, {-1, 0, 1, 2});
      calibrate(model, {0, value, 1, 1});
      const std::string message = str("value 'x': some of the values observed were ", expected);
      EXPECT_EQ(convert_pt2e(model).status().message(), message) << observer;
      PreparedModel resumed = prepared(observer);
      ASSERT_TRUE(resumed.merge_statistics(model.statistics()).ok());
      EXPECT_EQ(convert_pt2e(resumed).status().message(), message) << observer;
    }
  }
}

TEST(Pt2e, WhatIsQuantizedIsNotQuantizedAgain) {
  PreparedModel model = prepared();
  calibrate(model, {-1, 0, 1, 2});
  const auto quantized = convert_pt2e(model);
  ASSERT_TRUE(quantized.ok());
  EXPECT_THAT(prepare_pt2e(quantized.value().exported_program(), EnnQuantizer()).status().message(),
              HasSubstr("the model is quantized already"));
}

TEST(Pt2e, ErrorsNameTheThing) {
  PreparedModel model = prepared();
  EXPECT_THAT(convert_pt2e(model).status().message(),
              HasSubstr("never calibrated: ['x', 'relu', 'sum']"));
  EXPECT_THAT(model
                  .set_encodings(R"({"format":"openenn.encodings","version":1,"tensors":)"
                                 R"({"y":{"dtype":"int8","scale":1,"zero_point":0}}})")
                  .message(),
              HasSubstr("[y]"));
  EXPECT_THAT(model
                  .set_encodings(R"({"format":"openenn.encodings","version":1,"tensors":)"
                                 R"({"relu":{"dtype":"int8","scale":1,"zero_point":0},)"
                                 R"("pool":{"dtype":"int8","scale":2,"zero_point":0}}})")
                  .message(),
              HasSubstr("share their quantization"));
  EnnQuantizer qat;
  qat.set_quant_params(Precision::A8W8, true, true);
  EXPECT_THAT(prepare_pt2e(program_of(kSmallModel), qat).status().message(),
              HasSubstr("needs PyTorch"));
}

// h' = h / 2 + x, y = linear(h'): the sum stays in float, the layer reads it in 8 bits.
constexpr const char* kAccumulator = R"(graph {
  input %h: float32[1, 2]
  input %x: float32[1, 2]
  constant %half: float32[] = hex 0000003f
  constant %w: float32[1, 2] = hex 0000803f0000803f
  %decayed: float32[1, 2] = mul(%h, %half)
  %next: float32[1, 2] = add(%decayed, %x)
  %y: float32[1, 1] = linear(%next, %w, none)
  return %next, %y
})";

ExportedProgram accumulator() {
  const std::vector<float> first{4, 8};
  const auto bytes = std::as_bytes(std::span(first));
  return program_of(
      kAccumulator,
      {{"h", 0, 0, std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())}});
}

std::vector<float> called(auto& model, std::vector<float> x) {
  const TensorView view{{DType::Float32, {1, 2}}, std::as_bytes(std::span(x))};
  auto outputs = model({&view, 1});
  EXPECT_EQ(outputs.status().message(), "");
  EXPECT_EQ(outputs.value().size(), 1U);
  std::vector<float> out(outputs.value()[0].bytes.size() / sizeof(float));
  std::memcpy(out.data(), outputs.value()[0].bytes.data(), outputs.value()[0].bytes.size());
  return out;
}

TEST(Pt2e, BuffersKeepTheirValuesBetweenSamples) {
  auto model = prepare_pt2e(accumulator(), EnnQuantizer());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(called(model.value(), {1, 1}), std::vector<float>{3 + 5});
  EXPECT_EQ(called(model.value(), {0, 0}), std::vector<float>{1.5 + 2.5});
  auto quantized = convert_pt2e(model.value());
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  ASSERT_EQ(quantized.value().exported_program().mutations().size(), 1U);
  // It begins where the model begins, not where calibration ended.
  for (const Execution execution : {Execution::Qdq, Execution::Integer}) {
    const auto run = [&](std::span<const TensorView> inputs) {
      return quantized.value()(inputs, execution);
    };
    const double step = 8.0 / 255;  // of the sum's scale, twice half of it, and of the result's
    EXPECT_NEAR(called(run, {1, 1})[0], 8, 2 * step);
    EXPECT_NEAR(called(run, {0, 0})[0], 4, 2 * step);
  }
}

TEST(Pt2e, WhatUpdatesABufferStaysInFloat) {
  auto model = prepare_pt2e(accumulator(), EnnQuantizer());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(called(model.value(), {1, 1}), std::vector<float>{8});
  const auto quantized = convert_pt2e(model.value());
  ASSERT_TRUE(quantized.ok()) << quantized.status().message();
  const auto tensors = nlohmann::json::parse(quantized.value().encodings())["tensors"];
  EXPECT_FALSE(tensors.contains("h"));
  EXPECT_FALSE(tensors.contains("decayed"));
  EXPECT_TRUE(tensors.contains("next"));  // for the layer alone
  const Graph& graph = quantized.value().exported_program().graph();
  EXPECT_EQ(graph.producer(graph.outputs()[0])->name, "next");
}

}  // namespace
}  // namespace enn

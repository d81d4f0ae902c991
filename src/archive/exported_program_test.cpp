#include "archive/exported_program.hpp"

#include <gmock/gmock.h>

#include <cstring>

#include "archive/testing.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ExportedProgram small_program() {
  auto program = ExportedProgram::parse(testing::zip_of(testing::small_archive()));
  EXPECT_TRUE(program.ok()) << program.status().message();
  return std::move(program).value();
}

std::vector<float> floats(const ConstantData& data) {
  std::vector<float> out(data->size() / sizeof(float));
  std::memcpy(out.data(), data->data(), data->size());
  return out;
}

const Node& node_named(const Graph& graph, std::string_view name) {
  for (const NodeId id : graph.order()) {
    if (graph.node(id).name == name) return graph.node(id);
  }
  ADD_FAILURE() << "no node " << name;
  return graph.node(0);
}

// Of the nodes that stand for a call; an import adds others.
std::vector<std::string> targets(const Graph& graph) {
  std::vector<std::string> out;
  for (const NodeId id : graph.order()) {
    if (!graph.node(id).target.empty()) out.push_back(graph.node(id).target);
  }
  return out;
}

// The graph with relu's result quantized and the convolution's weight in int8.
Graph quantized(const Graph& original) {
  Graph graph = original;
  const auto constant = [&](const char* name, TensorType type, const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return graph.add_constant(
        name, std::move(type),
        std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end()));
  };
  NodeId convolution = kNone;
  NodeId reshape = kNone;
  for (const NodeId id : original.order()) {
    if (original.node(id).name == "conv2d") convolution = id;
    if (original.node(id).name == "reshape") reshape = id;
  }
  Attributes attrs;
  attrs.set("quant_min", std::int64_t{-128});
  attrs.set("quant_max", std::int64_t{127});
  Attributes per_channel = attrs;
  per_channel.set("axis", std::int64_t{0});
  per_channel.set("dtype", std::string("float32"));
  const Shape shape{2, 2, 1, 1};
  const ValueId weight =
      constant("w", {DType::Int8, shape}, std::array<std::int8_t, 4>{1, 3, 2, 4});
  const ValueId scales = constant("s", {DType::Float32, {2}}, std::array{1.0F, 0.5F});
  const ValueId zeros = constant("z", {DType::Int64, {2}}, std::array<std::int64_t, 2>{0, 0});
  const NodeId dequantized =
      graph.insert_node(convolution, Op::Dequantize, "dw", {weight, scales, zeros},
                        {{DType::Float32, shape}}, per_channel);
  graph.node(convolution).inputs[1] = graph.node(dequantized).outputs[0];

  attrs.set("scale", 0.1);
  attrs.set("zero_point", std::int64_t{-128});
  const ValueId relu = graph.node(reshape).inputs[0];
  const Shape image = graph.value(relu).type.shape;
  attrs.set("dtype", std::string("int8"));
  const NodeId q =
      graph.insert_node(reshape, Op::Quantize, "q", {relu}, {{DType::Int8, image}}, attrs);
  attrs.set("dtype", std::string("float32"));
  const NodeId d = graph.insert_node(reshape, Op::Dequantize, "d", {graph.node(q).outputs[0]},
                                     {{DType::Float32, image}}, attrs);
  graph.node(reshape).inputs[0] = graph.node(d).outputs[0];
  return graph;
}

TEST(ExportedProgram, GivesDynamicDimensionsASize) {
  const ExportedProgram program = small_program();
  ASSERT_EQ(program.inputs().size(), 1U);
  EXPECT_EQ(program.inputs()[0].name, "x");
  EXPECT_EQ(to_string(program.inputs()[0].type), "float32[2, 2, 2, 4]");
  ASSERT_EQ(program.outputs().size(), 1U);
  EXPECT_EQ(to_string(program.outputs()[0].type), "float32[2, 4, 4]");
  ExportOptions options;
  options.dynamic_size = 5;
  const auto larger = ExportedProgram::parse(testing::zip_of(testing::small_archive()), options);
  ASSERT_TRUE(larger.ok()) << larger.status().message();
  EXPECT_EQ(to_string(larger.value().inputs()[0].type), "float32[5, 2, 2, 4]");
}

TEST(ExportedProgram, ReadsStridedConstants) {
  const ExportedProgram program = small_program();
  const Graph& graph = program.graph();
  const Value& weight = graph.value(node_named(graph, "conv2d").inputs[1]);
  EXPECT_THAT(floats(weight.data), ElementsAre(1.0F, 3.0F, 2.0F, 4.0F));
}

TEST(ExportedProgram, AnUnchangedProgramIsWrittenAsItWasRead) {
  const std::vector<std::byte> archive = testing::zip_of(testing::small_archive());
  const auto program = ExportedProgram::parse(archive);
  ASSERT_TRUE(program.ok());
  EXPECT_EQ(program.value().serialize().value(), archive);
}

TEST(ExportedProgram, AttentionIsDecomposedBeforeAnnotation) {
  const auto decomposed = transform_for_annotation(small_program());
  ASSERT_TRUE(decomposed.ok()) << decomposed.status().message();
  const std::vector<std::string> expected{
      "aten.conv2d.default", "aten.relu.default",   "aten.reshape.default", "aten.mul.Tensor",
      "aten.transpose.int",  "aten.matmul.default", "aten.softmax.int",     "aten.matmul.default"};
  EXPECT_EQ(targets(decomposed.value().graph()), expected);
  // What is written says the same.
  const auto written = decomposed.value().serialize();
  ASSERT_TRUE(written.ok()) << written.status().message();
  const auto again = ExportedProgram::parse(written.value());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(targets(again.value().graph()), expected);
}

TEST(ExportedProgram, AChangedGraphIsWrittenAsCalls) {
  const ExportedProgram program = small_program();
  const ExportedProgram changed = with_graph(program, quantized(program.graph()));
  const auto written = changed.serialize();
  ASSERT_TRUE(written.ok()) << written.status().message();
  ExportOptions options;
  options.dynamic_size = 3;  // it is as dynamic as before
  const auto again = ExportedProgram::parse(written.value(), options);
  ASSERT_TRUE(again.ok()) << again.status().message();
  const Graph& graph = again.value().graph();
  EXPECT_THAT(
      targets(graph),
      ElementsAre("quantized_decomposed.dequantize_per_channel.default", "aten.conv2d.default",
                  "aten.relu.default", "quantized_decomposed.quantize_per_tensor.default",
                  "quantized_decomposed.dequantize_per_tensor.default", "aten.reshape.default",
                  "aten.scaled_dot_product_attention.default"));
  const Node& dequantize = node_named(graph, "dequantize_per_channel");
  EXPECT_EQ(to_string(graph.value(dequantize.inputs[0]).type), "int8[2, 2, 1, 1]");
  EXPECT_THAT(floats(graph.value(dequantize.inputs[1]).data), ElementsAre(1.0F, 0.5F));
  EXPECT_EQ(graph.producer(node_named(graph, "conv2d").inputs[1]), &dequantize);
  EXPECT_EQ(to_string(graph.value(node_named(graph, "quantize_per_tensor").outputs[0]).type),
            "int8[3, 2, 2, 4]");
  EXPECT_EQ(node_named(graph, "quantize_per_tensor").attrs.number("scale"), 0.1);
  EXPECT_EQ(node_named(graph, "quantize_per_tensor").origin.source, "model.py:7");
  // The float weight that nothing reads any more is gone; one that nothing ever read is kept.
  const auto zip = ZipArchive::open(written.value());
  ASSERT_TRUE(zip.ok());
  EXPECT_FALSE(zip.value().has("m/data/weights/weight_0") &&
               zip.value().read("m/data/weights/weight_0").value().size() == 16);
  EXPECT_TRUE(zip.value().has("m/data/weights/weight_1"));
}

TEST(ExportedProgram, WhatCallsCannotSayIsRefused) {
  const ExportedProgram program = small_program();
  Graph graph = program.graph();
  const ValueId x = graph.inputs()[0];
  const NodeId added = graph.add_node(Op::Relu, "more", {x}, {graph.value(x).type});
  graph.set_outputs({graph.node(added).outputs[0]});
  EXPECT_THAT(with_graph(program, graph).serialize().status().message(),
              HasSubstr("what the added node 'more' is"));
}

TEST(ExportedProgram, DamageIsASentence) {
  const auto refused = [](const char* entry, const char* from, const char* to) {
    testing::Entries entries = testing::small_archive();
    std::string& text = entries.at(entry);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, std::strlen(from), to);
    return ExportedProgram::parse(testing::zip_of(entries)).status().message();
  };
  const char* const model = "m/models/model.json";
  const char* const weights = "m/data/weights/model_weights_config.json";
  EXPECT_THAT(refused(model, "\"major\":8", "\"major\":7"), HasSubstr("version 7 of torch.export"));
  EXPECT_THAT(refused(model, "{\"as_tensor\":{\"name\":\"reshape\"}}", "{\"as_tensor\":{}}"),
              HasSubstr("'name' is missing"));
  EXPECT_THAT(refused(weights, "\"as_int\":2", "\"as_int\":9000000000"), HasSubstr("larger"));
  EXPECT_THAT(refused(weights, "weight_0", "../../weight_0"), HasSubstr("has no entry"));
  EXPECT_THAT(refused(weights, "\"use_pickle\":false", "\"use_pickle\":true"),
              HasSubstr("pickled"));
  std::string deep(100000, '[');
  EXPECT_THAT(refused(model, "{", deep.c_str()), HasSubstr("not valid JSON"));
}

TEST(ExportedProgram, WritesThroughViewsAreFunctionsAndLeaveANewValueInTheBuffer) {
  auto program = ExportedProgram::parse(testing::zip_of(testing::writing_archive()));
  ASSERT_TRUE(program.ok()) << program.status().message();
  ASSERT_EQ(program.value().inputs().size(), 1U);
  EXPECT_EQ(program.value().inputs()[0].name, "x");
  EXPECT_EQ(program.value().outputs().size(), 1U);
  ASSERT_EQ(program.value().mutations().size(), 1U);
  const Mutation& mutation = program.value().mutations()[0];
  EXPECT_EQ(mutation.name, "c");
  EXPECT_EQ(floats(mutation.initial), std::vector<float>(4, 1.0F));
  EXPECT_THAT(
      targets(program.value().graph()),
      ElementsAre("aten.select.int", "aten.select.int", "aten.add.Tensor",
                  "aten.select_scatter.default", "aten.t.default", "aten.slice.Tensor",
                  "aten.zero.default", "aten.t.default", "aten.slice_scatter.default",
                  "aten.t.default", "aten.add.Tensor", "aten.t.default", "aten.relu.default"));
  const Graph& graph = program.value().graph();
  EXPECT_EQ(graph.value(graph.outputs()[mutation.after]).name, "add");

  // What is written is read as the same program, without a write in place.
  const auto archive = with_graph(program.value(), graph).serialize();
  ASSERT_TRUE(archive.ok()) << archive.status().message();
  auto again = ExportedProgram::parse(archive.value());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(print(again.value().graph()), print(graph));
  ASSERT_EQ(again.value().mutations().size(), 1U);
  EXPECT_EQ(floats(again.value().mutations()[0].initial), std::vector<float>(4, 1.0F));
}

}  // namespace
}  // namespace enn

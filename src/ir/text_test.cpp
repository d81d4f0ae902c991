#include <gtest/gtest.h>

#include <limits>

#include "ir/graph.hpp"

namespace enn {
namespace {

constexpr std::string_view kConvolution = R"(graph {
  input %x: float32[1, 2, 4, 4]
  constant %w: int8[1, 2, 1, 1] quant([0.5], [0], 0, -128, 127) = hex 7f80
  constant %s: float32[1] = hex 0000003f
  %d: float32[1, 2, 1, 1] = dequantize(%w, %s, none) {axis = 0, dtype = "float32", quant_max = 127, quant_min = -128}
  %y: float32[1, 1, 4, 4] = convolution(%x, %d, none) {activation_max = inf, dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]} from "aten.conv2d.default" at "model.py:7"
  %z: float32[1, 1, 4, 4] channels_last = identity(%y)
  return %z
}
)";

TEST(Text, PrintsWhatItParses) {
  const auto graph = parse(kConvolution);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(print(graph.value()), kConvolution);
}

TEST(Text, KeepsEveryBitOfNumbers) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::Float32, {2}});
  Attributes attrs;
  attrs.set("real", 0.1 + 0.2);
  attrs.set("tiny", std::numeric_limits<double>::denorm_min());
  attrs.set("whole", 3.0);
  attrs.set("integer", std::int64_t{-7});
  attrs.set("reals", std::vector<double>{1.0, -std::numeric_limits<double>::infinity()});
  attrs.set("quote", std::string("a \"b\" \\ c"));
  const NodeId node = graph.add_node(Op::Relu, "y", {x}, {{DType::Float32, {2}}}, attrs);
  QuantParams params;
  params.scales = {0.1F, std::numeric_limits<float>::denorm_min()};
  params.zero_points = {-3, 4};
  params.axis = 0;
  graph.value(x).quant = params;
  graph.set_outputs({graph.node(node).outputs[0]});
  const auto again = parse(print(graph));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again.value().node(0).attrs, attrs);
  EXPECT_EQ(again.value().value(0).quant, params);
}

struct BadText {
  const char* name;
  std::string_view text;
  std::string_view message;
};

class BadTextTest : public testing::TestWithParam<BadText> {};

TEST_P(BadTextTest, IsRefusedWithItsLine) {
  const auto graph = parse(GetParam().text);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTextTest,
    testing::Values(
        BadText{"empty", "", "graph text, line 1: expected 'graph'"},
        BadText{"dtype", "graph {\n input %x: float31[1]", "graph text, line 2: expected a dtype"},
        BadText{"undefined", "graph {\n %y: float32[1] = relu(%x)",
                "graph text, line 2: expected a value that is defined, not 'x'"},
        BadText{"twice", "graph {\n input %x: float32[1]\n input %x: float32[1]\n",
                "graph text, line 3: expected a new name, not 'x'"},
        BadText{"operator", "graph {\n input %x: float32[1]\n %y: float32[1] = rely(%x)",
                "graph text, line 3: expected an operator"},
        BadText{"constant_size", "graph {\n constant %c: int8[2] = hex 00\n",
                "graph text, line 2: expected two digits per byte"},
        BadText{"huge_constant", "graph {\n constant %c: int8[99999999999999] = <1 bytes>",
                "graph text, line 2: expected a smaller constant"},
        BadText{"tail", "graph { return } x", "graph text, line 1: expected nothing more"}),
    [](const auto& tested) { return tested.param.name; });

struct BadGraph {
  const char* name;
  std::string_view text;
  std::string_view message;
};

class VerifyTest : public testing::TestWithParam<BadGraph> {};

TEST_P(VerifyTest, NamesTheNodeAndTheRule) {
  const auto graph = parse(GetParam().text);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(verify(graph.value()).message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, VerifyTest,
    testing::Values(
        BadGraph{"good", "graph { input %x: float32[2]\n %y: float32[2] = relu(%x)\n return %y }",
                 ""},
        BadGraph{"result_type",
                 "graph { input %x: float32[2]\n %y: float32[3] = relu(%x)\n return %y }",
                 "node 'y' (relu) gives float32[2], but its result is declared float32[3]"},
        BadGraph{"broadcast",
                 "graph { input %x: float32[2]\n input %z: float32[3]\n"
                 "%y: float32[3] = add(%x, %z)\n return %y }",
                 "node 'y' (add): shapes [2] and [3] do not broadcast"},
        BadGraph{"scale",
                 "graph { input %x: int8[2] quant([0.0], [0], -1, -128, 127)\n return %x }",
                 "value 'x': scale 0 is not positive"},
        BadGraph{"channels",
                 "graph { input %x: int8[2] quant([1.0], [0], 0, -128, 127)\n return %x }",
                 "value 'x': has 1 scales and 1 zero points, expected 2"},
        BadGraph{
            "weight",
            "graph { input %x: float32[1, 3, 4, 4]\n constant %w: float32[8, 2, 1, 1] = <64 "
            "bytes>\n"
            "%y: float32[1, 8, 4, 4] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, "
            "pads = [0, 0, 0, 0], stride = [1, 1]}\n return %y }",
            "node 'y' (convolution): input [1, 3, 4, 4], weight [8, 2, 1, 1] and groups 1 do not "
            "fit "
            "together"},
        BadGraph{"dynamic",
                 "graph { input %x: float32[-1]\n %y: float32[-1] = relu(%x)\n return %y }",
                 "node 'y' (relu) reads 'x', which has a dynamic size"},
        BadGraph{"element_type",
                 "graph { input %x: bfloat16[2]\n %y: bfloat16[2] = relu(%x)\n return %y }",
                 "node 'y' (relu) reads 'x', which is bfloat16"},
        BadGraph{"negative", "graph { input %x: float32[-2]\n return %x }",
                 "value 'x' has an impossible shape [-2]"},
        BadGraph{"layout", "graph { input %x: float32[2] channels_last\n return %x }",
                 "value 'x' is channels_last but not of rank 4"}),
    [](const auto& tested) { return tested.param.name; });

TEST(Verify, RefusesAUseBeforeItsDefinition) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::Float32, {2}});
  const NodeId later = graph.add_node(Op::Relu, "later", {x}, {{DType::Float32, {2}}});
  graph.insert_node(later, Op::Relu, "earlier", {graph.node(later).outputs[0]},
                    {{DType::Float32, {2}}});
  graph.set_outputs({graph.node(later).outputs[0]});
  EXPECT_EQ(verify(graph).message(), "node 'earlier' reads 'later' before it is computed");
}

}  // namespace
}  // namespace enn

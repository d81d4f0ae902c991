#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enn/quantizer.hpp"
#include "quantizer/explain.hpp"
#include "quantizer/overrides.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {
namespace {

using testing::HasSubstr;

Graph graph_of(const char* text) {
  auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return std::move(graph).value();
}

constexpr const char* kConvReluAdd = R"(graph {
  input %x: float32[1, 1, 2, 2]
  constant %w: float32[1, 1, 1, 1] = hex 0000803f
  %conv: float32[1, 1, 2, 2] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %relu: float32[1, 1, 2, 2] = relu(%conv)
  %pool: float32[1, 1, 2, 2] = max_pool2d(%relu) {ceil_mode = false, dilation = [1, 1], kernel = [1, 1], pads = [0, 0, 0, 0], stride = [1, 1]}
  %sum: float32[1, 1, 2, 2] = add(%pool, %x)
  return %sum
})";

// "name: operand=observer … => observer" of each annotated node.
std::string text_of(const Graph& graph, const Annotations& annotations) {
  const auto name = [](const Spec& spec) -> std::string {
    if (const auto* observed = std::get_if<QuantizationSpec>(&spec)) {
      return std::string(to_string(observed->observer));
    }
    return std::holds_alternative<SharedSpec>(spec) ? "shared" : "fixed";
  };
  std::string text;
  for (const ValueId id : graph.inputs()) {
    if (annotations.input(id))
      text += graph.value(id).name + " " + name(*annotations.input(id)) + "\n";
  }
  for (const NodeId id : graph.order()) {
    if (!annotations.annotated(id)) continue;
    text += graph.node(id).name + ":";
    for (const auto& [value, spec] : annotations.node(id)->inputs) {
      text += " " + graph.value(value).name + "=" + name(spec);
    }
    if (annotations.node(id)->output) text += " => " + name(*annotations.node(id)->output);
    text += "\n";
  }
  return text;
}

TEST(Configuration, MostSpecificObserverWins) {
  const Graph graph = graph_of(kConvReluAdd);
  EnnQuantizer quantizer;
  ASSERT_TRUE(quantizer.set_observer("minmax").ok());
  ASSERT_TRUE(quantizer.set_observer_for_operator("convolution", "mse").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("su?", "percentile").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("x", "kl").ok());
  EXPECT_EQ(text_of(graph, quantizer.annotate(graph)),
            "x Kl\n"
            "conv: x=Kl w=PerChannelMinMax\n"
            "relu: => Mse\n"
            "pool: relu=Mse => shared\n"
            "sum: pool=MinMax x=Kl => Percentile\n");
}

TEST(Configuration, ExcludedNodesStayFloatAndNeighboursConsistent) {
  const Graph graph = graph_of(kConvReluAdd);
  EnnQuantizer quantizer;
  quantizer.exclude_node("po*");
  ASSERT_TRUE(quantizer.exclude_operator("relu").ok());
  EXPECT_EQ(text_of(graph, quantizer.annotate(graph)),
            "x Mse\n"
            "conv: x=Mse w=PerChannelMinMax => Mse\n"
            "sum: pool=Mse x=Mse => Mse\n");
  std::string reasons;
  for (const Explanation& row : explain(graph, quantizer.annotate(graph))) {
    if (!row.reason.empty()) reasons += row.name + ": " + row.reason + "\n";
  }
  EXPECT_EQ(reasons,
            "relu: excluded by exclude_operator('relu')\n"
            "pool: excluded by exclude_node('po*')\n");
  EnnQuantizer all;
  all.exclude_node("*");
  EXPECT_EQ(text_of(graph, all.annotate(graph)), "");
}

TEST(Configuration, UnknownNamesAreErrorsThatListTheKnown) {
  EnnQuantizer quantizer;
  EXPECT_THAT(quantizer.set_observer("median").message(),
              HasSubstr("'median' is not known; there are [minmax, moving_average, histogram"));
  EXPECT_THAT(quantizer.exclude_operator("aten.nothing.default").message(),
              HasSubstr("'aten.nothing.default' is not known"));
  EXPECT_TRUE(quantizer.exclude_operator("aten.conv2d.default").ok());
  EXPECT_FALSE(quantizer.set_observer_for_operator("conv\xff", "mse").ok());
}

TEST(Configuration, JsonComesBackAndIsStable) {
  EnnQuantizer quantizer(Compatibility::Upstream);
  quantizer.set_quant_params(Precision::A8W8, false, false);
  ASSERT_TRUE(quantizer.set_observer("kl").ok());
  ASSERT_TRUE(quantizer.set_observer_for_operator("convolution", "mse").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("a*", "minmax").ok());
  ASSERT_TRUE(quantizer.exclude_operator("relu").ok());
  quantizer.exclude_node("b?");
  quantizer.set_bias_correction(false);
  const std::string text = quantizer.to_json();
  EXPECT_EQ(
      text,
      R"({"bias_correction":false,"compatibility":"UPSTREAM","excluded":[{"operator":"relu"},{"node":"b?"}],)"
      R"("format":"openenn.quantizer","is_per_channel":false,"is_qat":false,"observer":"kl",)"
      R"("observers":[{"observer":"mse","operator":"convolution"},)"
      R"({"node":"a*","observer":"minmax"}],"precision":"A8W8","version":1})");
  const auto again = EnnQuantizer::from_json(text);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again.value().to_json(), text);
  for (const char* bad : {"", "[]", "{}", R"({"format":"openenn.quantizer","version":2})",
                          R"({"format":"openenn.quantizer","version":1,"precision":"A8W8",)"
                          R"("compatibility":"DEFAULT","is_per_channel":true,"is_qat":1})"}) {
    EXPECT_FALSE(EnnQuantizer::from_json(bad).ok()) << bad;
  }
}

TEST(Configuration, PatternsMatchWholeNames) {
  EXPECT_TRUE(matches("conv2d_*", "conv2d_17"));
  EXPECT_TRUE(matches("*a*b?", "xxaxxabc"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_FALSE(matches("conv2d", "conv2d_1"));
  EXPECT_FALSE(matches("?", ""));
  EXPECT_FALSE(matches("*a*a*a*a*a*a*a*b", std::string(200, 'a')));
}

}  // namespace
}  // namespace enn

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

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

// kConvReluAdd as a model with the modules stem.conv, stem.act and pool.
Graph graph_with_modules() {
  Graph graph = graph_of(kConvReluAdd);
  const auto call = [&](std::size_t node, std::vector<ModuleCall> modules) {
    modules.insert(modules.begin(), {"", "net.Net"});
    graph.node(graph.order()[node]).origin.modules = std::move(modules);
  };
  call(0, {{"stem", "net.Stem"}, {"stem.conv", "torch.nn.modules.conv.Conv2d"}});
  call(1, {{"stem", "net.Stem"}, {"stem.act", "torch.nn.modules.activation.ReLU"}});
  call(2, {{"pool", "torch.nn.modules.pooling.MaxPool2d"}});
  call(3, {});
  return graph;
}

TEST(Configuration, ModulesAreNamedByPathAndClass) {
  const Graph graph = graph_with_modules();
  const auto excluded = [&](std::string_view pattern) {
    EnnQuantizer quantizer;
    quantizer.exclude_module(pattern);
    EXPECT_TRUE(quantizer.check_patterns(graph).ok());
    const Annotations annotations = quantizer.annotate(graph);
    std::string names;
    for (const NodeId id : graph.order()) {
      if (!annotations.excluded_by(id).empty()) names += graph.node(id).name + " ";
    }
    return names;
  };
  EXPECT_EQ(excluded("stem"), "conv relu ");
  EXPECT_EQ(excluded("stem.conv"), "conv ");
  EXPECT_EQ(excluded("torch.nn.MaxPool2d"), "pool ");
  EXPECT_EQ(excluded("net.Stem"), "conv relu ");
  EXPECT_EQ(excluded("net.Net"), "conv relu pool sum ");

  EnnQuantizer quantizer;
  ASSERT_TRUE(quantizer.set_observer("minmax").ok());
  ASSERT_TRUE(quantizer.set_observer_for_operator("convolution", "mse").ok());
  ASSERT_TRUE(quantizer.set_observer_for_module("torch.nn.Conv2d", "histogram").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("sum", "kl").ok());
  ASSERT_TRUE(quantizer.set_observer_for_module("net.Net", "percentile").ok());
  // The last module pattern that matches wins over those before it, a name over all of them.
  EXPECT_EQ(text_of(graph, quantizer.annotate(graph)),
            "x MinMax\n"
            "conv: x=MinMax w=PerChannelMinMax\n"
            "relu: => Percentile\n"
            "pool: relu=Percentile => shared\n"
            "sum: pool=Percentile x=MinMax => Kl\n");
}

TEST(Configuration, PatternsThatMatchNothingAreErrors) {
  const Graph graph = graph_with_modules();
  const auto message = [&](const auto& set) {
    EnnQuantizer quantizer;
    set(quantizer);
    return quantizer.check_patterns(graph).message();
  };
  EXPECT_EQ(message([](EnnQuantizer&) {}), "");
  EXPECT_EQ(message([](EnnQuantizer& q) { q.exclude_node("po?l"); }), "");
  EXPECT_EQ(message([](EnnQuantizer& q) { (void)q.set_observer_for_node("x", "mse"); }), "");
  EXPECT_THAT(message([](EnnQuantizer& q) { q.exclude_node("nosuch*"); }),
              HasSubstr("exclude_node('nosuch*') names no node"));
  // An input is observed, but is no node to leave in float.
  EXPECT_THAT(message([](EnnQuantizer& q) { q.exclude_node("x"); }), HasSubstr("names no node"));
  EXPECT_THAT(message([](EnnQuantizer& q) { q.exclude_node("stem.conv"); }),
              HasSubstr("it names a module: use exclude_module"));
  EXPECT_THAT(message([](EnnQuantizer& q) { (void)q.set_observer_for_node("b*", "mse"); }),
              HasSubstr("set_observer_for_node('b*') names no node"));
  EXPECT_THAT(message([](EnnQuantizer& q) { q.exclude_module("torch.nn.Linear"); }),
              HasSubstr("exclude_module('torch.nn.Linear') names no module"));
  EXPECT_THAT(message([](EnnQuantizer& q) { (void)q.set_observer_for_module("a\n", "mse"); }),
              HasSubstr("set_observer_for_module('a?') names no module"));

  EnnQuantizer quantizer;
  ASSERT_TRUE(quantizer.exclude_operator("relu").ok());
  ASSERT_TRUE(quantizer.exclude_operator("softmax").ok());
  ASSERT_TRUE(quantizer.set_observer_for_operator("aten.linear.default", "mse").ok());
  EXPECT_TRUE(quantizer.check_patterns(graph).ok());
  EXPECT_THAT(quantizer.absent_operators(graph),
              testing::ElementsAre("softmax", "aten.linear.default"));
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
  ASSERT_TRUE(quantizer.set_observer_for_module("stem.*", "histogram").ok());
  quantizer.exclude_module("torch.nn.Linear");
  quantizer.exclude_module("stem:convolution");
  quantizer.set_bias_correction(false);
  const std::string text = quantizer.to_json();
  EXPECT_EQ(
      text,
      R"({"bias_correction":false,"compatibility":"UPSTREAM","excluded":[{"operator":"relu"},{"module":"torch.nn.Linear"},{"module":"stem","operator":"convolution"},{"node":"b?"}],)"
      R"("format":"openenn.quantizer","is_per_channel":false,"is_qat":false,"observer":"kl",)"
      R"("observers":[{"observer":"mse","operator":"convolution"},)"
      R"({"module":"stem.*","observer":"histogram"},{"node":"a*","observer":"minmax"}],"precision":"A8W8","version":1})");
  const auto again = EnnQuantizer::from_json(text);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again.value().to_json(), text);
  for (const char* bad : {"", "[]", "{}", R"({"format":"openenn.quantizer","version":2})",
                          R"({"format":"openenn.quantizer","version":1,"precision":"A8W8",)"
                          R"("compatibility":"DEFAULT","is_per_channel":true,"is_qat":1})"}) {
    EXPECT_FALSE(EnnQuantizer::from_json(bad).ok()) << bad;
  }
}

TEST(Configuration, RecipeByHandNeedsOnlyWhatItChanges) {
  const auto recipe = [](const std::string& members) {
    return EnnQuantizer::from_json(R"({"format":"openenn.quantizer","version":1)" + members + "}");
  };
  const auto plain = recipe("");
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  EXPECT_EQ(plain.value().to_json(), EnnQuantizer().to_json());
  const auto chosen =
      recipe(R"(,"decisions":[{"any":1}],"comment":"by hand","excluded":[)"
             R"({"module":"stem","operator":"relu"},{"node":"re:po+l|s.m"}],)"
             R"("observers":[{"module":"stem.*","operator":"convolution","observer":"kl"}])");
  ASSERT_TRUE(chosen.ok()) << chosen.status().message();
  const Graph graph = graph_with_modules();
  EXPECT_TRUE(chosen.value().check_patterns(graph).ok());
  EXPECT_EQ(text_of(graph, chosen.value().annotate(graph)),
            "x Mse\n"
            "conv: x=Mse w=PerChannelMinMax => Kl\n");

  const auto message = [&](const std::string& members) {
    return recipe(members).status().message();
  };
  EXPECT_THAT(message(R"(,"exclude":[])"),
              HasSubstr("the key 'exclude' is not known in the recipe"));
  EXPECT_THAT(message(R"(,"excluded":[{"modul":"a"}])"),
              HasSubstr("the key 'modul' is not known in an item of 'excluded'"));
  EXPECT_EQ(message(R"(,"excluded":[{"node":"a","module":"b"}])"),
            "an item of 'excluded' names an 'operator', a 'module', both, or a 'node'");
  EXPECT_EQ(message(R"(,"observers":[{"node":"a"}])"), "'observer' is missing or not a text");
  EXPECT_THAT(message(R"(,"excluded":[{"node":"re:a("}])"), HasSubstr("'node': the regular"));
  EXPECT_THAT(message(R"(,"excluded":[{"operator":"conv"}])"), HasSubstr("'conv' is not known"));
  EXPECT_EQ(message(R"(,"bias_correction":1)"), "'bias_correction' is not true or false");
  EXPECT_EQ(message(R"(,"excluded":{})"), "'excluded' is not a list of objects");
  EnnQuantizer quantizer;
  quantizer.exclude_module("pool:relu");
  EXPECT_THAT(quantizer.check_patterns(graph).message(), HasSubstr("that has this operator"));
}

TEST(Configuration, WeightRoundingIsKeptWhereItIsNotTheDefault) {
  EnnQuantizer quantizer;
  const std::string text = quantizer.to_json();
  EXPECT_FALSE(quantizer.learns_rounding());
  EXPECT_EQ(quantizer.set_weight_rounding("up").message(),
            "weight rounding 'up' is not known; there are [nearest, learned]");
  ASSERT_TRUE(quantizer.set_weight_rounding("learned").ok());
  const auto again = EnnQuantizer::from_json(quantizer.to_json());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(again.value().learns_rounding());
  ASSERT_TRUE(quantizer.set_weight_rounding("nearest").ok());
  EXPECT_EQ(quantizer.to_json(), text);
  EnnQuantizer upstream(Compatibility::Upstream);
  ASSERT_TRUE(upstream.set_weight_rounding("learned").ok());
  EXPECT_FALSE(upstream.learns_rounding());
}

TEST(Configuration, PatternsMatchWholeNames) {
  EXPECT_TRUE(matches("conv2d_*", "conv2d_17"));
  EXPECT_TRUE(matches("*a*b?", "xxaxxabc"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_FALSE(matches("conv2d", "conv2d_1"));
  EXPECT_FALSE(matches("?", ""));
  EXPECT_FALSE(matches("*a*a*a*a*a*a*a*b", std::string(200, 'a')));
}

TEST(Configuration, GuardIsKept) {
  EnnQuantizer quantizer;
  EXPECT_EQ(quantizer.guard(), kDefaultGuard);
  EXPECT_EQ(quantizer.to_json().find("guard"), std::string::npos);
  ASSERT_TRUE(quantizer.set_guard(10.5).ok());
  EXPECT_EQ(EnnQuantizer::from_json(quantizer.to_json()).value().guard(), 10.5);
  ASSERT_TRUE(quantizer.set_guard(std::nullopt).ok());
  EXPECT_EQ(EnnQuantizer::from_json(quantizer.to_json()).value().guard(), std::nullopt);
  EXPECT_FALSE(quantizer.set_guard(-1.0).ok());
  EXPECT_FALSE(quantizer.set_guard(std::nan("")).ok());
  EXPECT_FALSE(
      EnnQuantizer::from_json(R"({"format": "openenn.quantizer", "version": 1, "guard": "off"})")
          .ok());
  EXPECT_EQ(EnnQuantizer(Compatibility::Upstream).guard(), std::nullopt);
  quantizer = EnnQuantizer();
  quantizer.set_quant_params(Precision::A8W8, true, /*is_qat=*/true);
  EXPECT_EQ(quantizer.guard(), std::nullopt);
}

}  // namespace
}  // namespace enn

// What stays in float, and what is quantized once, because another rounding would spoil results.
#include "ops/float_values.hpp"

#include <gtest/gtest.h>

#include <string>

#include "quantizer/explain.hpp"
#include "quantizer/testing.hpp"

namespace enn {
namespace {

constexpr std::string_view kImage = "float32[1, 1, 2, 2]";

std::string layer(std::string_view name, std::string_view input) {
  return str("%", name, ": ", kImage, " = convolution(%", input,
             ", %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}\n");
}

std::string pool(std::string_view name, std::string_view input) {
  return str(
      "%", name, ": ", kImage, " = max_pool2d(%", input,
      ") {ceil_mode = false, dilation = [1, 1], kernel = [1, 1], pads = [0, 0, 0, 0], stride "
      "= [1, 1]}\n");
}

const std::string kLayers = str("graph {\n input %x: ", kImage, "\n input %y: ", kImage,
                                "\n constant %w: float32[1, 1, 1, 1] = hex 0000803f\n");

// The layer keeps its 8 bits, which every reader sees: the maxima are elements of the same tensor.
TEST(FloatValues, AComparisonReadsOneQuantizationOfALayersResult) {
  EXPECT_EQ(annotations(kLayers + layer("c", "x") + str("%h: ", kImage, " = sigmoid(%c)\n") +
                        pool("p", "h") +
                        "%e: bool[1, 1, 2, 2] = eq(%p, %h)\n"
                        "%f: float32[1, 1, 2, 2] = convert(%e) {dtype = \"float32\"}\n"
                        "%m: float32[1, 1, 2, 2] = mul(%f, %h)\n return %m }"),
            "x: => affine\n"
            "c: x=affine w=channel0\n"
            "h: => fixed(0.00392157,-128)\n"
            "m: f=affine h=fixed(0.00392157,-128) => affine\n");
}

// What else reads the input quantizes it for itself.
TEST(FloatValues, AComparisonReadsInputsAndWhatWasChosenFromThemInFloat) {
  EXPECT_EQ(annotations(kLayers + layer("c", "x") +
                        "%m: float32[1, 1, 2, 2] = maximum(%x, %y)\n"
                        "%e: bool[1, 1, 2, 2] = eq(%m, %x)\n"
                        "%g: bool[1, 1, 2, 2] = ge(%x, %y)\n"
                        "%s: float32[1, 1, 2, 2] = add(%m, %m)\n return %e, %g, %c, %s }"),
            "c: x=affine w=channel0 => affine\n"
            "s: m=affine m=affine => affine\n");
}

// A bound reads one quantization in any case.
TEST(FloatValues, AComparisonWithAConstantLeavesItsOperandQuantized) {
  EXPECT_EQ(annotations("graph {\n input %x: float32[2]\n constant %k: float32[] = hex 0000803f\n"
                        "%s: float32[2] = tanh(%x)\n %g: bool[2] = gt(%s, %k)\n return %g }"),
            "x: => affine\n"
            "s: x=affine => affine\n");
}

TEST(FloatValues, ATestForNumbersReadsWhatMayBeNone) {
  const std::string softmax =
      "graph {\n input %x: float32[2, 2]\n constant %k: float32[] = hex 0000807f\n"
      "%s: float32[2, 2] = softmax(%x) {dim = 1}\n";
  const std::string rest =
      "%w: float32[2, 2] = where(%n, %x, %s)\n %m: float32[2, 2] = matmul(%w, %w)\n return %m }";
  for (const std::string test : {"%n: bool[2, 2] = ne(%s, %s)\n",
                                 "%a: float32[2, 2] = abs(%s)\n%n: bool[2, 2] = eq(%a, %k)\n"}) {
    EXPECT_EQ(annotations(softmax + test + rest),
              "x: => affine\n"
              "s: x=affine\n"
              "m: w=affine w=affine => affine\n")
        << test;
  }
}

std::string standardized(std::string_view nodes, std::string_view mean = "0000fa4300007a44") {
  return annotations(str("graph {\n input %x: float32[3, 2]\n constant %mean: float32[2] = hex ",
                         mean, "\n constant %std: float32[2] = hex 0000803f0000004",
                         "0\n constant %half: float32[] = hex 0000003f\n"
                         " constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f\n",
                         nodes, "%l: float32[3, 2] = linear(%b, %w, none)\n return %l }"));
}

TEST(FloatValues, AnInputIsQuantizedAfterTheAffineMapsThatMakeItsFeaturesAlike) {
  EXPECT_EQ(
      standardized("%a: float32[3, 2] = sub(%x, %mean)\n %b: float32[3, 2] = div(%a, %std)\n"),
      "b: => affine\n"
      "l: b=affine w=channel0 => affine\n");
  EXPECT_EQ(
      standardized("%a: float32[3, 2] = mul(%x, %half)\n %b: float32[3, 2] = mul(%std, %a)\n"),
      "b: => affine\n"
      "l: b=affine w=channel0 => affine\n");
  EXPECT_EQ(
      standardized("%a: float32[3, 2] = mul(%x, %std)\n %b: float32[3, 2] = add(%a, %mean)\n"),
      "b: => affine\n"
      "l: b=affine w=channel0 => affine\n");
  EXPECT_EQ(
      standardized("%b: float32[3, 2] = batch_norm(%x, none, none, %mean, %std) {eps = 1.0}\n"),
      "b: => affine\n"
      "l: b=affine w=channel0 => affine\n");
  // The last of the maps is not per channel: the input's scale holds as much.
  EXPECT_EQ(standardized("%b: float32[3, 2] = mul(%x, %half)\n"),
            "x: => affine\n"
            "b: x=affine => affine\n"
            "l: b=affine w=channel0 => affine\n");
  EXPECT_EQ(standardized("%b: float32[3, 2] = sub(%x, %mean)\n", "0000803f0000803f"),
            "x: => affine\n"
            "b: x=affine mean=affine => affine\n"
            "l: b=affine w=channel0 => affine\n");
}

TEST(FloatValues, AnInputThatIsReturnedIsNotQuantized) {
  EXPECT_EQ(annotations("graph {\n input %x: float32[2]\n %s: float32[2] = tanh(%x)\n"
                        "%i: float32[2] = identity(%x)\n"
                        "%v: float32[2, 1] = reshape(%i) {shape = [2, 1]}\n return %s, %x, %v }"),
            "s: x=affine => affine\n");
}

TEST(FloatValues, PowersThatChangeMuchWithinAStepReadFloats) {
  for (const auto& [alpha, specs] :
       {std::pair("-1.0", "p: => affine\n"), std::pair("0.5", "p: => affine\n"),
        std::pair("4.0", "p: => affine\n"),
        std::pair("2.0", "x: => affine\np: x=affine => affine\n")}) {
    EXPECT_EQ(annotations(str("graph {\n input %x: float32[2]\n %p: float32[2] = pow_scalar(%x) "
                              "{alpha = ",
                              alpha, "}\n return %p }")),
              specs)
        << alpha;
  }
  for (const std::string op : {"sqrt", "exp", "log1p", "asinh", "rsqrt", "floor", "sign"}) {
    EXPECT_EQ(annotations("graph {\n input %x: float32[2]\n %p: float32[2] = " + op +
                          "(%x)\n return %p }")
                  .find("x: =>"),
              std::string::npos)
        << op;
  }
}

// A layer that rounding alone reads keeps its 8 bits, but what comes between does not add to them.
TEST(FloatValues, RoundingReadsALayersResultAsItIs) {
  EXPECT_EQ(annotations(kLayers + layer("c", "x") +
                        "%s: float32[1, 1, 2, 2] = mul(%c, %y)\n"
                        "%f: float32[1, 1, 2, 2] = floor(%s)\n return %f }"),
            "x: => affine\n"
            "c: x=affine w=channel0 => affine\n"
            "f: => affine\n");
}

TEST(FixedResults, AreQuantizedOnce) {
  const std::string sigmoid =
      "graph {\n input %x: float32[2]\n input %y: float32[2]\n %s: float32[2] = sigmoid(%x)\n";
  EXPECT_EQ(annotations(sigmoid + "%v: float32[2, 1] = reshape(%s) {shape = [2, 1]}\n"
                                  "%m: float32[2, 2] = mul(%y, %v)\n return %m }"),
            "x: => affine\n"
            "y: => affine\n"
            "s: x=affine => fixed(0.00392157,-128)\n"
            "v: s=fixed(0.00392157,-128) => as(s->v)\n"
            "m: y=affine v=fixed(0.00392157,-128) => affine\n");
  EXPECT_EQ(annotations(sigmoid + "%t: float32[2] = sigmoid(%y)\n"
                                  "%c: float32[4] = concat(%s, %t) {dim = 0}\n"
                                  "%a: float32[4] = abs(%c)\n return %a }"),
            "x: => affine\n"
            "y: => affine\n"
            "s: x=affine => fixed(0.00392157,-128)\n"
            "t: y=affine => fixed(0.00392157,-128)\n"
            "c: s=fixed(0.00392157,-128) t=fixed(0.00392157,-128) => as(s->c)\n"
            "a: c=fixed(0.00392157,-128) => affine\n");
  // One scale for what is joined, which the other readers of the sigmoid do not see.
  EXPECT_EQ(annotations(sigmoid + "%m: float32[2] = mul(%s, %y)\n"
                                  "%c: float32[4] = concat(%s, %y) {dim = 0}\n"
                                  "%a: float32[4] = abs(%c)\n return %a, %m }"),
            "x: => affine\n"
            "y: => affine\n"
            "s: x=affine => fixed(0.00392157,-128)\n"
            "m: s=fixed(0.00392157,-128) y=affine => affine\n"
            "c: s=affine y=as(s->c) => as(s->c)\n"
            "a: c=affine => affine\n");
}

const std::string kTransformer =
    "graph {\n input %x: float32[3, 2]\n input %y: float32[3, 2]\n"
    " constant %c: float32[2] = hex 0000803f0000803f\n"
    " constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f\n"
    " %l: float32[3, 2] = linear(%y, %w, none)\n"
    " %s: float32[3, 2] = add(%x, %l)\n"
    " %n: float32[3, 2] = layer_norm(%s, %c, %c) {eps = 1.0, dims = 1}\n"
    " %m: float32[3, 2] = linear(%n, %w, none)\n";

// Layers are in 8 bits, and the sums that norms read, with what is added to them, are not.
TEST(FloatValues, ResidualStreamsStayInFloat) {
  EXPECT_EQ(annotations(kTransformer + "%t: float32[3, 2] = add(%s, %m)\n return %t }"),
            "y: => affine\n"
            "l: y=affine w=channel0\n"
            "n: => affine\n"
            "m: n=affine w=channel0\n"
            "t: => affine\n");
  // After the sum, as in BERT: the norm's result goes on.
  EXPECT_EQ(annotations(kTransformer +
                        "%t: float32[3, 2] = add(%n, %m)\n"
                        "%o: float32[3, 2] = layer_norm(%t, %c, %c) {eps = 1.0, dims = 1}\n"
                        "%p: float32[3, 2] = linear(%o, %w, none)\n return %p }"),
            "y: => affine\n"
            "l: y=affine w=channel0\n"
            "m: n=affine w=channel0\n"
            "o: => affine\n"
            "p: o=affine w=channel0 => affine\n");
}

// c' = f c + i g, h = o tanh(c'): nothing is quantized but what the layers read.
TEST(FloatValues, StatesOfCellsStayInFloat) {
  EXPECT_EQ(annotations("graph {\n input %x: float32[1, 2]\n input %c: float32[1, 2]\n"
                        " constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f\n"
                        " constant %v: float32[2, 2] = hex 0000803f0000803f0000803f0000803f\n"
                        " %a: float32[1, 2] = linear(%x, %w, none)\n"
                        " %b: float32[1, 2] = linear(%x, %v, none)\n"
                        " %f: float32[1, 2] = sigmoid(%a)\n %i: float32[1, 2] = sigmoid(%b)\n"
                        " %g: float32[1, 2] = tanh(%b)\n"
                        " %p: float32[1, 2] = mul(%f, %c)\n %q: float32[1, 2] = mul(%i, %g)\n"
                        " %n: float32[1, 2] = add(%p, %q)\n"
                        " %t: float32[1, 2] = tanh(%n)\n %h: float32[1, 2] = mul(%f, %t)\n"
                        " %y: float32[1, 2] = linear(%h, %w, none)\n return %n, %y }"),
            "x: => affine\n"
            "a: x=affine w=channel0\n"
            "b: x=affine v=channel0\n"
            "y: h=affine w=channel0 => affine\n");
}

TEST(FloatValues, AreExplained) {
  const auto parsed = parse(
      "graph {\n input %x: float32[2]\n %e: bool[2] = ne(%x, %x)\n %s: float32[2] = tanh(%x)\n"
      " return %e, %s }");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const Graph& graph = parsed.value();
  const auto rows = explain(graph, EnnQuantizer().annotate(graph), {});
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows[0].name, "x");
  EXPECT_EQ(rows[0].decision, "in float");
  EXPECT_EQ(rows[0].reason,
            "a comparison reads it: two quantizations of one value would not compare equal, and 8 "
            "bits hold no NaN");
}

// Each sum reads the one before by two ways, so that 2^60 paths lead to the softmax.
TEST(LargeGraphs, ALadderInFrontOfASoftmaxIsAnnotated) {
  std::string text =
      "graph {\n input %p: float32[2]\n input %q: float32[2]\n input %x0: float32[2]\n";
  for (int i = 0; i < 60; ++i) {
    text += str("%a", i, ": float32[2] = add(%x", i, ", %p)\n%b", i, ": float32[2] = add(%x", i,
                ", %q)\n%x", i + 1, ": float32[2] = add(%a", i, ", %b", i, ")\n");
  }
  EXPECT_EQ(annotations(text + "%s: float32[2] = softmax(%x60) {dim = 0}\n return %s }"),
            "s: => fixed(0.00392157,-128)\n");
}

// Operators of all kinds, one after the other, deeper than any stack.
TEST(LargeGraphs, AChainOfTwentyThousandOperatorsIsAnnotated) {
  std::string text =
      "graph {\n input %x0: float32[2, 2]\n constant %k: float32[2] = hex 0000803f00000040\n"
      " constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f\n";
  constexpr int kNodes = 20000;
  const std::string ops[] = {"identity(%", "reshape(%", "add(%", "mul(%", "relu(%", "linear(%"};
  const std::string rest[] = {")", ") {shape = [2, 2]}", ", %k)", ", %k)", ")", ", %w, none)"};
  for (int i = 0; i < kNodes; ++i) {
    const auto kind = static_cast<std::size_t>(i % 6);
    text += str("%x", i + 1, ": float32[2, 2] = ", ops[kind], "x", i, rest[kind], "\n");
  }
  text += str("%s: float32[2, 2] = softmax(%x", kNodes, ") {dim = 1}\n return %s }");
  const std::string result = annotations(text);
  EXPECT_NE(result.find("x6: x5=affine w=channel0 => affine\n"), std::string::npos);
  EXPECT_NE(result.find("\ns: "), std::string::npos);
}

}  // namespace
}  // namespace enn

#include "quantizer/quantizer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantizer/testing.hpp"

namespace enn {
namespace {

constexpr std::string_view kConvolution = R"(graph {
  input %x: float32[1, 1, 2, 2]
  constant %w: float32[1, 1, 1, 1] = hex 0000803f
  constant %b: float32[1] = hex 00000000
  %c: float32[1, 1, 2, 2] = convolution(%x, %w, %b) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
)";

TEST(Quantizer, QuantizesAConvolutionBehindItsActivation) {
  EXPECT_EQ(
      annotations(std::string(kConvolution) + "%r: float32[1, 1, 2, 2] = relu(%c)\n return %r }"),
      "x: => affine\n"
      "c: x=affine w=channel0\n"
      "r: => affine\n");
  EXPECT_EQ(annotations(std::string(kConvolution) +
                        "%r: float32[1, 1, 2, 2] = clamp(%c) {max = 6.0, min = 0.0}\n return %r }"),
            "x: => affine\n"
            "c: x=affine w=channel0\n"
            "r: => affine\n");
}

TEST(Quantizer, LeavesAConvolutionInFloatThatNoProgramTakes) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[1, 1, 2, 2]
    input %w: float32[1, 1, 1, 1]
    %c: float32[1, 1, 2, 2] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    %r: float32[1, 1, 2, 2] = relu(%c)
    return %r })"),
            "r: c=affine => affine\n");
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[1, 1, 2, 2, 2]
    constant %w: float32[1, 1, 1, 1, 1] = hex 0000803f
    %c: float32[1, 1, 2, 2, 2] = convolution(%x, %w, none) {dilation = [1, 1, 1], groups = 1, pads = [0, 0, 0, 0, 0, 0], stride = [1, 1, 1]}
    return %c })"),
            "");
}

TEST(Quantizer, GivesWeightsPerChannelAsManyStepsOnEitherSideOfZero) {
  const auto parsed = parse(std::string(kConvolution) + "return %c }");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const Graph& graph = parsed.value();
  const auto quant_min = [&](bool per_channel) {
    EnnQuantizer quantizer;
    quantizer.set_quant_params(Precision::A8W8, per_channel, false);
    const Annotations result = quantizer.annotate(graph);
    for (const NodeId id : graph.order()) {
      if (!result.annotated(id)) continue;
      for (const auto& [value, spec] : result.node(id)->inputs) {
        if (graph.value(value).name == "w") return std::get<QuantizationSpec>(spec).quant_min;
      }
    }
    return 0;
  };
  EXPECT_EQ(quant_min(true), -127);
  EXPECT_EQ(quant_min(false), -128);
}

TEST(Quantizer, QuantizesAConvolutionItselfWhereItsResultHasOtherReaders) {
  EXPECT_EQ(annotations(std::string(kConvolution) +
                        "%r: float32[1, 1, 2, 2] = relu(%c)\n return %r, %c }"),
            "x: => affine\n"
            "c: x=affine w=channel0 => affine\n"
            "r: c=affine => affine\n");
}

// A batch norm is folded into the convolution, by torchao or by the compiler: nothing between the
// convolution and the activation is quantized.
TEST(Quantizer, QuantizesAConvolutionBehindItsBatchNormAndActivation) {
  const std::string model = std::string(kConvolution) + R"(
    constant %v: float32[1] = hex 0000803f
    %n: float32[1, 1, 2, 2] = batch_norm(%c, none, none, %b, %v) {eps = 1.0, training = true}
    %r: float32[1, 1, 2, 2] = relu(%n)
  )";
  const std::string expected =
      "x: => affine\n"
      "c: x=affine w=channel0\n"
      "n:\n"
      "r: => affine\n";
  EXPECT_EQ(annotations(model + "return %r }", true, true), expected);
  EXPECT_EQ(annotations(model + "return %r, %n }", true, true),
            "x: => affine\n"
            "c: x=affine w=channel0\n"
            "n: => affine\n"
            "r: n=affine => affine\n");
}

TEST(Quantizer, QuantizesABatchNormAloneBehindItsActivation) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[1, 1, 2, 2]
    constant %v: float32[1] = hex 0000803f
    %n: float32[1, 1, 2, 2] = batch_norm(%x, none, none, %v, %v) {eps = 1.0}
    %r: float32[1, 1, 2, 2] = relu(%n)
    return %r })"),
            "x: => affine\n"
            "n: x=affine\n"
            "r: => affine\n");
}

TEST(Quantizer, GivesAveragesOfWindowsTheRangeOfTheirOperand) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[1, 3, 4, 4]
    %p: float32[1, 3, 2, 2] = avg_pool2d(%x) {ceil_mode = false, count_include_pad = true, dilation = [1, 1], divisor_override = 0, kernel = [2, 2], pads = [0, 0, 0, 0], stride = [2, 2]}
    %s: float32[1, 3, 1, 1] = avg_pool2d(%p) {ceil_mode = false, count_include_pad = true, dilation = [1, 1], divisor_override = 1, kernel = [2, 2], pads = [0, 0, 0, 0], stride = [2, 2]}
    %m: float32[1, 3, 1, 1] = mean(%s) {dims = [2, 3], keepdim = true}
    return %m })"),
            "x: => affine\n"
            "p: x=affine => as(x->p)\n"
            "s: p=affine => affine\n"
            "m: s=affine => affine\n");
}

TEST(Quantizer, DoesNotFuseAClampThatDoesNotBeginAtZero) {
  EXPECT_EQ(annotations(std::string(kConvolution) +
                        "%r: float32[1, 1, 2, 2] = clamp(%c) {max = 1.0}\n return %r }"),
            "x: => affine\n"
            "c: x=affine w=channel0 => affine\n"
            "r: c=affine => affine\n");
  EXPECT_EQ(
      annotations(std::string(kConvolution) +
                  "%r: float32[1, 1, 2, 2] = clamp(%c) {max = 1.0, min = -1.0}\n return %r }"),
      "x: => affine\n"
      "c: x=affine w=channel0 => affine\n"
      "r: c=affine => affine\n");
}

TEST(Quantizer, LeavesAnInputInFloatThatOnlyFloatOperatorsRead) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[4]
    input %y: float32[4]
    %z: float32[4] = floor_divide(%x, %x)
    %s: float32[4] = add(%y, %y)
    return %z, %s })"),
            "y: => affine\n"
            "s: y=affine y=affine => affine\n");
}

TEST(Quantizer, PerTensorWeightsAreAffine) {
  EXPECT_EQ(annotations(std::string(kConvolution) + "return %c }", false),
            "x: => affine\n"
            "c: x=affine w=affine => affine\n");
}

TEST(Quantizer, GivesEachOperandOfAnAdditionItsOwnScale) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %a: float32[2] = add(%x, %y)
    %r: float32[2] = relu(%a)
    return %r })"),
            "x: => affine\n"
            "y: => affine\n"
            "a: x=affine y=affine\n"
            "r: => affine\n");
}

// The layer adds the residual itself: what lies between is not rounded.
TEST(Quantizer, QuantizesALayerBehindTheSumThatAloneReadsIt) {
  const std::string model = std::string(kConvolution) + R"(
    %i: float32[1, 1, 2, 2] = identity(%c)
    %s: float32[1, 1, 2, 2] = add(%x, %i)
    %r: float32[1, 1, 2, 2] = relu(%s)
  )";
  const std::string apart =
      "x: => affine\n"
      "c: x=affine w=channel0 => affine\n"
      "s: x=affine i=affine\n"
      "r: => affine\n";
  EXPECT_EQ(annotations(model + "return %r }"),
            "x: => affine\n"
            "c: x=affine w=channel0\n"
            "s: x=affine\n"
            "r: => affine\n");
  EXPECT_EQ(annotations(model + "return %r }", true, true),
            apart);  // torchao knows no such pattern
  EXPECT_EQ(annotations(model + "return %r, %i }"), apart);
  EXPECT_EQ(annotations(model + "return %r }", true, false, {"c"}),
            "x: => affine\n"
            "s: x=affine i=affine\n"
            "r: => affine\n");
  EXPECT_EQ(annotations(model + "return %r }", true, false, {"s"}),
            "x: => affine\n"
            "c: x=affine w=channel0 => affine\n"
            "r: => affine\n");
}

TEST(Quantizer, QuantizesALayerBehindTheFunctionThatAloneReadsIt) {
  const std::string model = std::string(kConvolution) + R"(
    %s: float32[1, 1, 2, 2] = silu(%c)
  )";
  EXPECT_EQ(annotations(model + "return %s }"),
            "x: => affine\n"
            "c: x=affine w=channel0\n"
            "s: => affine\n");
  EXPECT_EQ(annotations(model + "return %s, %c }"),
            "x: => affine\n"
            "c: x=affine w=channel0 => affine\n"
            "s: c=affine => affine\n");
  EXPECT_EQ(annotations(model + "return %s }", true, false, {"c"}), "s: => affine\n");
}

// The batch norm's factors per channel take in the scales of what is joined.
TEST(Quantizer, LeavesChannelsThatABatchNormAloneReadsTheirOwnScales) {
  const std::string model = R"(graph {
    input %x: float32[1, 1, 2, 2]
    input %y: float32[1, 1, 2, 2]
    constant %v: float32[2] = hex 0000803f0000803f
    %c: float32[1, 2, 2, 2] = concat(%x, %y) {dim = 1}
    %n: float32[1, 2, 2, 2] = batch_norm(%c, none, none, %v, %v) {eps = 1.0}
    %r: float32[1, 2, 2, 2] = relu(%n)
  )";
  const std::string shared =
      "x: => affine\n"
      "y: => affine\n"
      "c: x=affine y=as(x->c) => as(x->c)\n";
  EXPECT_EQ(annotations(model + "return %r }"),
            "x: => affine\n"
            "y: => affine\n"
            "c: x=affine y=affine\n"
            "n:\n"
            "r: => affine\n");
  EXPECT_EQ(annotations(model + "return %r, %c }"), shared +
                                                        "n: c=affine\n"
                                                        "r: => affine\n");
  EXPECT_EQ(annotations(model + "return %r }", true, true), shared +
                                                                "n: c=affine\n"
                                                                "r: => affine\n");
}

TEST(Quantizer, LetsTheFirstOfTwoLayersAddTheOther) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[1, 1]
    constant %w: float32[1, 1] = hex 0000803f
    %a: float32[1, 1] = linear(%x, %w, none)
    %b: float32[1, 1] = linear(%x, %w, none)
    %s: float32[1, 1] = add(%a, %b)
    return %s })"),
            "x: => affine\n"
            "a: x=affine w=channel0\n"
            "b: x=affine w=channel0 => affine\n"
            "s: b=affine => affine\n");
}

TEST(Quantizer, DoesNotLetALayerAddWhatBroadcastsOrIsConstantOrScaled) {
  for (const std::string sum :
       {"add(%c, %e)", "add(%c, %k)", "add(%c, %x) {alpha = 2.0}", "sub(%c, %x)", "add(%c, %c)"}) {
    const std::string text = annotations(std::string(kConvolution) + R"(
      input %e: float32[1, 1, 1, 2]
      constant %k: float32[1, 1, 2, 2] = hex 0000803f0000803f0000803f0000803f
      %s: float32[1, 1, 2, 2] = )" + sum +
                                         "\n return %s }");
    EXPECT_NE(text.find("c: x=affine w=channel0 => affine\n"), std::string::npos) << sum << text;
  }
}

std::string affine_map(std::string_view shape, std::string_view scale, std::string_view shift) {
  return annotations(str("graph {\n input %x: float32", shape, "\n constant %w: float32", scale,
                         " = hex 0000803f0000803f\n constant %b: float32", shift,
                         " = hex 0000803f0000803f\n %m: float32", shape,
                         " = mul(%x, %w)\n %s: float32", shape, " = add(%b, %m)\n %r: float32",
                         shape, " = relu(%s)\n return %r }"));
}

TEST(Quantizer, QuantizesAProductWithAConstantBehindTheSumWithAConstant) {
  const std::string map =
      "x: => affine\n"
      "m: x=affine\n"
      "s:\n"
      "r: => affine\n";
  EXPECT_EQ(affine_map("[3, 2]", "[2]", "[1, 2]"), map);
  EXPECT_EQ(affine_map("[5, 3, 2]", "[2]", "[2]"), map);
  EXPECT_EQ(affine_map("[1, 2, 3, 3]", "[1, 2, 1, 1]", "[2, 1, 1]"), map);
  const std::string apart =
      "x: => affine\n"
      "m: x=affine w=affine => affine\n"
      "s: b=affine m=affine\n"
      "r: => affine\n";
  EXPECT_EQ(affine_map("[2, 2]", "[2, 1]", "[2]"), apart);
  EXPECT_EQ(affine_map("[1, 2, 3, 2]", "[2, 1, 1]", "[2]"), apart);
  EXPECT_EQ(affine_map("[3, 2, 5]", "[2, 1]", "[2, 1]"), apart);
}

TEST(Quantizer, SharesOneScaleWhereElementsOnlyMove) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %c: float32[4] = concat(%x, %y) {dim = 0}
    %i: float32[4] = identity(%c)
    %v: float32[2, 2] = reshape(%i) {shape = [2, 2]}
    %a: float32[2, 2] = abs(%v)
    return %a })"),
            "x: => affine\n"
            "y: => affine\n"
            "c: x=affine y=as(x->c) => as(x->c)\n"
            "v: i=affine => as(i->v)\n"
            "a: v=affine => affine\n");
}

// A detector's boxes beside its scores: nothing rounds both to one scale.
TEST(Quantizer, JoinsInFloatWhatNothingReadsInEightBits) {
  const std::string_view model = R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %b: float32[2] = abs(%x)
    %s: float32[2] = sigmoid(%y)
    %c: float32[4] = concat(%b, %s) {dim = 0}
    %i: float32[4] = identity(%c)
    %v: float32[2, 2] = reshape(%i) {shape = [2, 2]}
    return %v })";
  EXPECT_EQ(annotations(model),
            "x: => affine\n"
            "y: => affine\n"
            "b: x=affine => affine\n"
            "s: y=affine => fixed(0.00392157,-128)\n");
}

// The observer of the result of node %s.
Observer observer_of_sum(std::string_view readers, EnnQuantizer quantizer = EnnQuantizer()) {
  const auto parsed = parse(str(R"(graph {
    input %x: float32[3, 2]
    input %y: float32[3, 2]
    constant %c: float32[2] = hex 0000803f0000803f
    constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f
    %s: float32[3, 2] = add(%x, %y)
    )",
                                readers));
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  if (!parsed.ok()) return Observer::MinMax;
  const Graph& graph = parsed.value();
  const Annotations annotations = quantizer.annotate(graph);
  for (const NodeId id : graph.order()) {
    if (graph.node(id).name == "s")
      return std::get<QuantizationSpec>(annotations.node(id)->output.value()).observer;
  }
  return Observer::MinMax;
}

TEST(Quantizer, GivesResidualStreamsAWideRange) {
  const std::string next = "%t: float32[3, 2] = add(%s, %y)\n return %t, ";
  const std::string affine =
      "%m: float32[3, 2] = mul(%s, %c)\n %a: float32[3, 2] = add(%m, %c)\n"
      "%n: float32[3, 2] = linear(%a, %w, none)\n %t: float32[3, 2] = add(%a, %y)\n";
  EXPECT_EQ(observer_of_sum(affine + "return %n, %t }"), Observer::Percentile);
  EXPECT_EQ(observer_of_sum(next + "%t }"), Observer::Mse);
  EnnQuantizer chosen;
  ASSERT_TRUE(chosen.set_observer_for_operator("add", "kl").ok());
  EXPECT_EQ(observer_of_sum(affine + "return %n, %t }", chosen), Observer::Kl);
  EnnQuantizer for_all;
  ASSERT_TRUE(for_all.set_observer("minmax").ok());
  EXPECT_EQ(observer_of_sum(affine + "return %n, %t }", for_all), Observer::MinMax);
}

// hardswish written out computes one value from another and numbers: it is rounded at its end.
TEST(Quantizer, RoundsOnceWhatComputesOneValueFromAnother) {
  const std::string hardswish = R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    constant %three: float32[] = hex 00004040
    constant %six: float32[] = hex 0000c040
    %a: float32[2] = add(%x, %three)
    %c: float32[2] = clamp(%a) {max = 6.0, min = 0.0}
    %m: float32[2] = mul(%x, %c)
    %d: float32[2] = div(%m, %six)
    %s: float32[2] = mul(%d, %y)
)";
  EXPECT_EQ(annotations(hardswish + "return %s }"),
            "x: => affine\n"
            "y: => affine\n"
            "a: x=affine\n"
            "c:\n"
            "m: x=affine\n"
            "d: => affine\n"
            "s: d=affine y=affine => affine\n");
  // A value that is read elsewhere is stored, and what is computed from it begins there.
  EXPECT_EQ(annotations(hardswish + "return %s, %m }"),
            "x: => affine\n"
            "y: => affine\n"
            "a: x=affine\n"
            "c:\n"
            "m: x=affine => affine\n"
            "d: m=affine => affine\n"
            "s: d=affine y=affine => affine\n");
  EXPECT_EQ(annotations(hardswish + "return %s, %a }"),
            "x: => affine\n"
            "y: => affine\n"
            "a: x=affine => affine\n"
            "c: a=affine => affine\n"
            "m: x=affine c=affine => affine\n"
            "d: m=affine => affine\n"
            "s: d=affine y=affine => affine\n");
}

// 1 / (1 + exp(-x)) lies in (0, 1): with zero point 0 everything above 0.496 would clip.
TEST(Quantizer, GivesSigmoidTheWholeRange) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[2]
    %s: float32[2] = sigmoid(%x)
    return %s })"),
            "x: => affine\n"
            "s: x=affine => fixed(0.00392157,-128)\n");
}

TEST(Quantizer, LeavesDivisorsInFloat) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[2, 4]
    input %l: float32[2, 1]
    %s: float32[2, 1] = sqrt(%l)
    %y: float32[2, 4] = div(%x, %s)
    %z: float32[2, 1] = reciprocal(%l)
    return %y, %z })"),
            "x: => affine\n"
            "y: x=affine => affine\n"
            "z: => affine\n");
}

TEST(Quantizer, LeavesWhatReadsAConstantInfinityInFloat) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: float32[2, 2]
    constant %w: float32[2, 2] = hex 0000803f0000803f0000803f0000803f
    constant %bound: float32[2] = hex 0000803f000080ff
    %y: float32[2, 2] = linear(%x, %w, none)
    %m: float32[2, 2] = maximum(%y, %bound)
    %z: float32[2, 2] = linear(%m, %w, none)
    return %z })"),
            "x: => affine\n"
            "y: x=affine w=channel0 => affine\n"
            "z: m=affine w=channel0 => affine\n");
}

// Each sum reads the one before twice: to follow both operands each time would never end.
TEST(Quantizer, LeavesWhatConstantsAloneGiveInFloat) {
  std::string text = "graph {\n  input %x: float32[2]\n  constant %c0: float32[2] = hex ";
  text += "0000803f00000040\n";
  for (int i = 0; i < 64; ++i)
    text += str("  %c", i + 1, ": float32[2] = add(%c", i, ", %c", i, ")\n");
  text += "  %t: float32[2] = tanh(%x)\n  %y: float32[2] = mul(%t, %c64)\n  return %y }";
  EXPECT_EQ(annotations(text),
            "x: => affine\n"
            "t: x=affine => affine\n"
            "y: t=affine c64=affine => affine\n");
}

TEST(Quantizer, LeavesIntegersAlone) {
  EXPECT_EQ(annotations(R"(graph {
    input %x: int64[2]
    %a: int64[2] = add(%x, %x)
    return %a })"),
            "");
}

TEST(Quantizer, NamesThePrecisionsItKnows) {
  EXPECT_TRUE(precision_from_string("A8W8").ok());
  EXPECT_TRUE(precision_from_string("a8w8").ok());
  EXPECT_EQ(precision_from_string("A16W8").status().message(),
            "precision 'A16W8' is not supported; the supported precision is 'A8W8'");
}

}  // namespace
}  // namespace enn

#include "quantizer/explain.hpp"

#include <gtest/gtest.h>

#include <array>

namespace enn {
namespace {

TEST(Explain, SaysForEachValueWhetherAndHowItIsQuantized) {
  const auto parsed = parse(R"(graph {
    input %x: float32[1, 1, 2, 2]
    input %n: int64[2]
    constant %w: float32[1, 1, 1, 1] = hex 0000803f
    constant %b: float32[1] = hex 00000000
    %c: float32[1, 1, 2, 2] = convolution(%x, %w, %b) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    %r: float32[1, 1, 2, 2] = relu(%c)
    %i: float32[1, 1, 2, 2] = identity(%r)
    %u: float32[1, 1, 2, 2] = unknown(%i)
    %m: int64[2] = add(%n, %n)
    %s: float32[1, 1, 2, 2] = sigmoid(%u)
    %v: float32[4] = reshape(%s) {shape = [4]}
    return %v, %m })");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const Graph& graph = parsed.value();
  const Annotations annotations = EnnQuantizer().annotate(graph);
  const std::array kept{graph.value(graph.outputs()[0]).producer};
  std::string text;
  for (const Explanation& row : explain(graph, annotations, kept)) {
    text += row.name + " " + row.decision;
    for (const auto& [name, facts] : row.operands) text += " " + name + "=" + in_one_line(facts);
    if (!row.result.empty()) text += " => " + in_one_line(row.result);
    for (const auto& [name, value] : row.details) text += " (" + name + " " + value + ")";
    if (!row.reason.empty()) text += ": " + row.reason;
    if (!row.advice.empty()) text += " [+]";
    text += "\n";
  }
  EXPECT_EQ(
      text,
      "x quantized => int8, per_tensor_affine, Mse\n"
      "n unchanged: its values are int64; only float32 and float16 are quantized\n"
      "w quantized => int8, per_channel_symmetric, PerChannelMinMax, axis 0 (read by c)\n"
      "b in float (read by c): the operators that read it take it in full precision, as a bias "
      "is\n"
      "c quantized x=int8, per_tensor_affine, Mse w=int8, per_channel_symmetric, "
      "PerChannelMinMax, axis 0 (fused with r)\n"
      "r fused => int8, per_tensor_affine, Mse (fused with c)\n"
      "i transparent: it passes its operand on, which its neighbours quantize\n"
      "u in float: no rule quantizes the operator  [+]\n"
      "m unchanged: its values are int64; only float32 and float16 are quantized\n"
      "s quantized u=int8, per_tensor_affine, Mse => int8, fixed, scale 0.00392157, "
      "zero_point -128\n"
      "v annotated by others: the model was annotated before, or by a custom annotation, and "
      "that wins\n");
}

TEST(Explain, NamesTheSumThatALayerAddsTo) {
  const auto parsed = parse(R"(graph {
    input %x: float32[1, 1]
    constant %w: float32[1, 1] = hex 0000803f
    %l: float32[1, 1] = linear(%x, %w, none)
    %s: float32[1, 1] = add(%l, %x)
    return %s })");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  std::string text;
  for (const Explanation& row :
       explain(parsed.value(), EnnQuantizer().annotate(parsed.value()), {})) {
    if (row.kind == "node") text += row.name + " " + row.decision;
    for (const auto& [name, value] : row.details) text += " (" + name + " " + value + ")";
  }
  EXPECT_EQ(text, " (read by l)l quantized (fused with s)s quantized (fused with l)");
}

}  // namespace
}  // namespace enn

// Graphs that are deep, or of which the paths are many: every pass walks over each node a few times
// and calls itself for none of them.
#include <gtest/gtest.h>

#include <string>

#include "compiler/compiler.hpp"
#include "partitioner/partitioner.hpp"

namespace enn {
namespace {

void expect_compiled(std::string_view text) {
  const auto parsed = parse(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(partition(parsed.value()).count, 1);
  const auto compiled = compile(parsed.value());
  ASSERT_TRUE(compiled.ok()) << compiled.status().message();
  EXPECT_GT(compiled.value().bytes.size(), 0U);
}

// Each sum reads the one before by two ways: 2^60 paths lead to the softmax.
TEST(LargeGraphs, ALadderInFrontOfASoftmaxIsCompiled) {
  std::string text =
      "graph {\n input %p: float32[2]\n input %q: float32[2]\n input %x0: float32[2]\n";
  for (int i = 0; i < 60; ++i) {
    text += str("%a", i, ": float32[2] = add(%x", i, ", %p)\n%b", i, ": float32[2] = add(%x", i,
                ", %q)\n%x", i + 1, ": float32[2] = add(%a", i, ", %b", i, ")\n");
  }
  expect_compiled(text + "%s: float32[2] = softmax(%x60) {dim = 0}\n return %s }");
}

// Constants that are standardized once more and once more: each asks for those before it.
TEST(LargeGraphs, AChainOfComputedWeightsIsCompiled) {
  std::string text = "graph {\n input %x: float32[1, 2]\n constant %w0: float32[1, 2, 2] = hex ";
  text += "0000803f000000400000803f00000040\n";
  for (int i = 0; i < 60; ++i) {
    text += str("%w", i + 1, ": float32[1, 2, 2] = batch_norm(%w", i,
                ", none, none, none, none) {eps = 1.0, training = true}\n");
  }
  expect_compiled(text +
                  "%v: float32[2, 2] = reshape(%w60) {shape = [2, 2]}\n"
                  "%l: float32[1, 2] = linear(%x, %v, none)\n return %l }");
}

TEST(LargeGraphs, AChainOfTwentyThousandOperatorsIsCompiled) {
  constexpr int kNodes = 20000;
  const std::string quantization =
      "dtype = \"int8\", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 3}\n";
  const std::string type = "[1, 2, 2, 2] = ";
  std::string text =
      "graph {\n input %x0: float32[1, 2, 2, 2]\n constant %k: float32[2, 1, 1] = hex "
      "0000803f00000040\n";
  const std::string ops[] = {"relu(%", "permute(%", "add(%", "mul(%", "add(%"};
  const std::string rest[] = {")", ") {dims = [0, 1, 3, 2]}", ", %k)", ", %k)", ", %x0)"};
  for (int i = 0; i < kNodes / 3; ++i) {
    const auto kind = static_cast<std::size_t>(i % 5);
    const std::string x = str("x", i);
    text += "%q" + x + ": int8" + type + "quantize(%" + x + ") {" + quantization;
    std::string dequantization = quantization;
    dequantization.replace(dequantization.find("int8"), 4, "float32");
    text += "%d" + x + ": float32" + type + "dequantize(%q" + x + ") {" + dequantization;
    text += str("%x", i + 1, ": float32", type, ops[kind], "d", x, rest[kind], "\n");
  }
  expect_compiled(text + str("return %x", kNodes / 3, " }"));
}

}  // namespace
}  // namespace enn

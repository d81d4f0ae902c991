#include "partitioner/explain.hpp"

#include <gtest/gtest.h>

namespace enn {
namespace {

TEST(Explain, SaysForEachValueWhichPartitionHasItOrWhyNone) {
  const auto parsed = parse(R"(graph {
    input %x: float32[4, 2]
    input %n: int64[2]
    constant %w: float32[2] = hex 0000803f0000803f
    constant %k: int64[2] = hex 00000000000000000000000000000000
    %a: float32[4, 2] = add(%x, %w)
    %u: float32[4, 2] = unknown(%a, %k, %n)
    %p: float32[2, 2], %p.1: float32[2, 2] = split(%u) {dim = 0, sizes = [2, 2]}
    %m: float32[2, 2] = mul(%p, %w)
    return %m, %p.1 })");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const Graph& graph = parsed.value();
  std::string text;
  for (const Explanation& row : explain(graph, partition(graph))) {
    text += row.kind + " " + row.name + " " + row.decision;
    for (const auto& [name, value] : row.details) text += " (" + name + " " + value + ")";
    if (!row.reason.empty()) text += ": " + row.reason;
    if (!row.advice.empty()) text += " [+]";
    text += "\n";
  }
  EXPECT_EQ(text,
            "input x passed in (partition 0)\n"
            "input n left out: no operator of the engine reads it\n"
            "constant w delegated (partition 0, 1)\n"
            "constant k left out: no operator of the engine reads it\n"
            "node a delegated (partition 0)\n"
            "node u left out: the operator  is not among those of the engine [+]\n"
            "node p delegated (partition 1)\n"
            "part p[0] delegated (partition 1)\n"
            "part p[1] delegated (partition 1)\n"
            "node m delegated (partition 1)\n");
}

}  // namespace
}  // namespace enn

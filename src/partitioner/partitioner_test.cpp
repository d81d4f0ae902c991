#include "partitioner/partitioner.hpp"

#include <gtest/gtest.h>

#include "ops/import.hpp"

namespace enn {
namespace {

// The partition of each node, by name; '-' for a node that is left out.
std::string partitions(std::string_view text) {
  const auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  if (!graph.ok()) return "";
  EXPECT_EQ(verify(graph.value()).message(), "");
  const Partitioning result = partition(graph.value());
  std::string out;
  for (const NodeId id : graph.value().order()) {
    const NodeDecision& decision = result.nodes[id];
    const bool has_reason = decision.partition < 0 && !is_size(graph.value().node(id));
    EXPECT_EQ(has_reason, !decision.reason.empty());
    out += graph.value().node(id).name + ":" +
           (decision.partition < 0 ? "-" : std::to_string(decision.partition)) + " ";
  }
  return out;
}

TEST(Partitioner, TakesAWholeGraph) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    %a: float32[2] = relu(%x)
    %b: float32[2] = sigmoid(%a)
    return %b })"),
            "a:0 b:0 ");
}

TEST(Partitioner, JoinsBranchesThatDoNotTouch) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %a: float32[2] = relu(%x)
    %b: float32[2] = relu(%y)
    return %a, %b })"),
            "a:0 b:0 ");
}

// a -> u -> b and a -> b: with a and b together the partition would wait for u, which waits for it.
TEST(Partitioner, LeavesNoCycleThroughWhatIsLeftOut) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    %a: float32[2] = relu(%x)
    %u: float32[2] = unknown(%a) from "aten.erfinv.default"
    %b: float32[2] = add(%a, %u)
    %c: float32[2] = relu(%a)
    return %b, %c })"),
            "a:0 u:- b:1 c:0 ");
}

TEST(Partitioner, LeavesDynamicSizesOut) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2, -1]
    %a: float32[2, -1] = unknown(%x) from "aten.relu.default"
    %b: float32[2] = unknown(%a) from "aten.sum.dim_IntList"
    %c: float32[2] = relu(%b)
    return %c })"),
            "a:- b:- c:0 ");
}

// %s is the size of %a, and %v reads it: inside the partition when nothing outside does.
TEST(Partitioner, ASizeBelongsToThePartitionOfItsReaders) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2, 2]
    %a: float32[2, 2] = relu(%x)
    %s: int64[] = unknown() {unread_operands = [1]} from "size"
    %v: float32[2, 2] = relu(%a) {unread_operands = [2]}
    return %v })"),
            "a:0 s:0 v:0 ");
}

// A partition gives no numbers: the size is computed outside, so %v cannot be where %a is.
TEST(Partitioner, ASizeThatIsReadElsewhereSplits) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2, 2]
    %a: float32[2, 2] = relu(%x)
    %s: int64[] = unknown() {unread_operands = [1]} from "size"
    %v: float32[2, 2] = relu(%a) {unread_operands = [2]}
    return %v, %s })"),
            "a:0 s:- v:1 ");
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2, 2]
    %a: float32[2, 2] = relu(%x)
    %s: int64[] = unknown() {unread_operands = [1]} from "size"
    %u: float32[4] = unknown(%a) {unread_operands = [2]} from "aten.erfinv.default"
    %v: float32[4] = relu(%u) {unread_operands = [2]}
    return %v })"),
            "a:0 s:- u:- v:1 ");
}

TEST(Partitioner, SizesOfInputsSplitNothing) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2, 2]
    %s: int64[] = unknown() {unread_operands = [0]} from "size"
    %d: int64[] = unknown() {unread_operands = [1]} from "size"
    %a: float32[2, 2] = relu(%x) {unread_operands = [1]}
    %v: float32[2, 2] = relu(%a) {unread_operands = [2]}
    return %v, %s })"),
            "s:- d:0 a:0 v:0 ");
}

// What stands before the first taken node does not split anything.
TEST(Partitioner, IgnoresWhatOnlyPrecedes) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %u: float32[2] = unknown(%x) from "aten.erfinv.default"
    %a: float32[2] = relu(%u)
    %b: float32[2] = relu(%y)
    return %a, %b })"),
            "u:- a:0 b:0 ");
}

// The weight's dequantize depends on nothing, so it goes where the convolution is; the activation's
// dequantize goes to its reader, so that bytes and not floats cross the border.
TEST(Partitioner, KeepsDequantizeWithItsReader) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[1, 1, 2, 2]
    constant %w: int8[1, 1, 1, 1] = hex 01
    %q: int8[1, 1, 2, 2] = quantize(%x) {dtype = "int8", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 0}
    %d: float32[1, 1, 2, 2] = dequantize(%q) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 0}
    %u: float32[1, 1, 2, 2] = unknown(%q) from "aten.erfinv.default"
    %dw: float32[1, 1, 1, 1] = dequantize(%w) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 0}
    %s: float32[1, 1, 2, 2] = add(%d, %u)
    %y: float32[1, 1, 2, 2] = convolution(%s, %dw, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    return %y })"),
            "q:0 d:1 u:- dw:1 s:1 y:1 ");
}

// Two partitions read the shared weight, which must be a constant: to the second it would be an
// input.
TEST(Partitioner, LeavesAReaderOfAnotherPartitionsWeight) {
  const std::string text = R"(graph {
    input %x: float32[1, 1, 2, 2]
    constant %w: int8[1, 1, 1, 1] = hex 01
    %dw: float32[1, 1, 1, 1] = dequantize(%w) {dtype = "float32", quant_max = 127, quant_min = -128, scale = 0.5, zero_point = 0}
    %a: float32[1, 1, 2, 2] = convolution(%x, %dw, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    %u: float32[1, 1, 2, 2] = unknown(%a) from "aten.erfinv.default"
    %b: float32[1, 1, 2, 2] = convolution(%u, %dw, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    %c: float32[1, 1, 2, 2] = relu(%b)
    return %c })";
  EXPECT_EQ(partitions(text), "dw:0 a:0 u:- b:- c:1 ");
  const auto graph = parse(text);
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(partition(graph.value()).nodes[3].reason, "its weight is computed at run time");
}

// The first partition that reads a constant expression computes it for the others.
TEST(Partitioner, PassesAConstantExpressionOn) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    constant %c: float32[2] = hex 0000803f0000803f
    %s: float32[2] = sqrt(%c)
    %t: float32[2] = neg(%s)
    %a: float32[2] = add(%x, %t)
    %u: float32[2] = unknown(%a) from "aten.erfinv.default"
    %b: float32[2] = mul(%u, %t)
    return %b })"),
            "s:0 t:0 a:0 u:- b:1 ");
}

// A constant expression that something left out reads stands where it is: what reads that in turn
// must not share its partition.
TEST(Partitioner, LeavesNoCycleThroughConstants) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    constant %c: float32[2] = hex 0000803f0000803f
    %s: float32[2] = sqrt(%c)
    %u: float32[2] = unknown(%s) from "aten.erfinv.default"
    %a: float32[2] = add(%x, %u)
    return %a })"),
            "s:0 u:- a:1 ");
}

TEST(Partitioner, KeepsTheOrderOfOperandsThatANodeDoesNotRead) {
  EXPECT_EQ(partitions(R"(graph {
    input %x: float32[2]
    input %y: float32[2]
    %s: float32[2] = sqrt(%x)
    %u: float32[2] = unknown(%s) from "aten.erfinv.default"
    %a: float32[2] = sqrt(%y) {unread_operands = [3]}
    return %a })"),
            "s:0 u:- a:1 ");
}

TEST(Partitioner, SaysWhyANodeIsLeftOut) {
  const auto graph = parse(R"(graph {
    input %x: float32[1, 3, 7, 7]
    input %w: float32[4, 3, 1, 1]
    %u: float32[1, 3, 7, 7] = unknown(%x) from "aten.erfinv.default"
    %p: float32[1, 3, 3, 3] = avg_pool2d(%u) {ceil_mode = false, count_include_pad = true, dilation = [1, 1], divisor_override = -1, kernel = [2, 2], pads = [0, 0, 0, 0], stride = [2, 2]}
    %c: float32[1, 4, 7, 7] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
    %d: float32[1, 3, 7, 7] = identity(%x) {train = true}
    return %p, %c, %d })");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const Partitioning result = partition(graph.value());
  EXPECT_EQ(result.count, 0);
  EXPECT_EQ(result.nodes[0].reason,
            "the operator aten.erfinv.default is not among those of the engine");
  EXPECT_EQ(result.nodes[1].reason, "a negative divisor_override is not taken");
  EXPECT_EQ(result.nodes[2].reason, "its weight is computed at run time");
  EXPECT_EQ(result.nodes[3].reason, "dropout in training mode is random");
}

}  // namespace
}  // namespace enn

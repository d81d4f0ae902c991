#include "ir/graph.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace enn {
namespace {

const TensorType kType{DType::Float32, {2}};

std::vector<NodeId> nodes(std::initializer_list<NodeId> ids) { return ids; }

TEST(Graph, ListsReadersInTheOrderOfExecution) {
  Graph graph;
  const ValueId x = graph.add_input("x", kType);
  const NodeId last = graph.add_node(Op::Add, "last", {x, x}, {kType});
  const NodeId first = graph.insert_node(last, Op::Relu, "first", {x}, {kType});
  const NodeId middle = graph.insert_node(last, Op::Abs, "middle", {x}, {kType});
  EXPECT_EQ(graph.users(x), nodes({first, middle, last}));
  EXPECT_TRUE(graph.precedes(first, middle));
  EXPECT_FALSE(graph.precedes(last, middle));

  const ValueId a = graph.node(first).outputs[0];
  graph.node(last).inputs[1] = a;
  EXPECT_EQ(graph.users(x), nodes({first, middle, last}));
  EXPECT_EQ(graph.users(a), nodes({last}));
  graph.node(last).inputs[0] = a;
  EXPECT_EQ(graph.users(x), nodes({first, middle}));
  graph.erase_node(middle);
  EXPECT_EQ(graph.users(x), nodes({first}));

  graph.set_outputs({a});
  graph.replace_uses(a, x);
  EXPECT_EQ(graph.users(x), nodes({first, last}));
  EXPECT_TRUE(graph.users(a).empty());
  EXPECT_TRUE(graph.is_output(x));
  EXPECT_FALSE(graph.is_output(a));
  EXPECT_EQ(graph.outputs(), std::vector<ValueId>{x});
}

TEST(Graph, TakesAnyNumberOfNodesAtOnePlace) {
  Graph graph;
  const ValueId x = graph.add_input("x", kType);
  const NodeId last = graph.add_node(Op::Relu, "last", {x}, {kType});
  std::vector<NodeId> expected;
  for (int i = 0; i < 200; ++i) {
    expected.push_back(graph.insert_node(last, Op::Relu, str("n", i), {x}, {kType}));
  }
  expected.push_back(last);
  EXPECT_EQ(graph.order(), expected);
  EXPECT_EQ(graph.users(x), expected);
}

struct CountedNodes {
  explicit CountedNodes(const Graph& graph) : count(graph.order().size()) {}
  std::size_t count;
};

TEST(Graph, ComputesAnAnalysisAgainAfterAChange) {
  Graph graph;
  const ValueId x = graph.add_input("x", kType);
  graph.add_node(Op::Relu, "a", {x}, {kType});
  const auto before = graph.analysis<CountedNodes>();
  EXPECT_EQ(before->count, 1U);
  EXPECT_EQ(graph.analysis<CountedNodes>(), before);
  const Graph copy = graph;
  graph.add_node(Op::Relu, "b", {x}, {kType});
  EXPECT_EQ(graph.analysis<CountedNodes>()->count, 2U);
  EXPECT_EQ(copy.analysis<CountedNodes>()->count, 1U);
}

}  // namespace
}  // namespace enn

#include "pt2e/weight_rounding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "ops/common.hpp"

namespace enn {
namespace {

struct Layer {
  Graph graph;
  ValueId input = kNone;
  NodeId node = kNone;
};

Layer linear(std::int64_t rows, std::int64_t inputs, std::int64_t outputs) {
  Layer layer;
  layer.input = layer.graph.add_input("x", {DType::Float32, {rows, inputs}});
  const std::vector<float> zeros(static_cast<std::size_t>(inputs * outputs));
  const ValueId weight = add_float_constant(layer.graph, "w", {outputs, inputs}, zeros);
  layer.node = layer.graph.add_node(Op::Linear, "linear", {layer.input, weight, kNone},
                                    {{DType::Float32, {rows, outputs}}});
  return layer;
}

// Reproducible numbers in [-1, 1).
std::vector<float> numbers(std::size_t count, std::uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<float>(seed >> 8) / static_cast<float>(1 << 23) - 1;
  }
  return values;
}

// Inputs that depend on each other.
std::vector<float> mixed(std::size_t rows, std::size_t inputs, std::uint32_t seed) {
  const std::vector<float> raw = numbers(rows * inputs, seed);
  std::vector<float> values(raw.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < inputs; ++i) {
      for (std::size_t j = 0; j <= i; ++j) values[row * inputs + i] += raw[row * inputs + j];
      values[row * inputs + i] += 0.5F;
    }
  }
  return values;
}

// The mean square of what the layer's result for `samples` loses, as far as no bias takes it back.
double error_of(std::span<const float> samples, std::span<const float> weight,
                std::span<const float> rounded, bool centered) {
  const std::size_t inputs = weight.size();
  const std::size_t rows = samples.size() / inputs;
  double sum = 0;
  double squares = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    double error = 0;
    for (std::size_t i = 0; i < inputs; ++i) {
      error += (static_cast<double>(rounded[i]) - static_cast<double>(weight[i])) *
               static_cast<double>(samples[row * inputs + i]);
    }
    sum += error;
    squares += error * error;
  }
  const auto count = static_cast<double>(rows);
  return squares / count - (centered ? sum / count * (sum / count) : 0.0);
}

TEST(WeightRounding, FindsTheBestOfAllRoundings) {
  constexpr std::size_t kInputs = 5;
  constexpr std::size_t kRows = 40;
  constexpr float kScale = 0.25F;
  SerialParallel serial;
  for (const bool centered : {false, true}) {
    const Layer layer = linear(kRows, kInputs, 1);
    WeightRounding rounding(layer.graph, layer.node, centered);
    const std::vector<float> samples = mixed(kRows, kInputs, 7);
    rounding.add(samples, serial);
    const std::vector<float> weight = numbers(kInputs, 3);
    const QuantParams params = {{kScale}, {0}, 0, -128, 127};
    const Shape shape = {1, kInputs};
    double least = std::numeric_limits<double>::infinity();
    std::vector<float> tried(kInputs);
    for (unsigned number = 0; number < 1U << kInputs; ++number) {
      for (std::size_t i = 0; i < kInputs; ++i) {
        const float steps = weight[i] / kScale;
        tried[i] = ((number >> i & 1U) != 0 ? std::ceil(steps) : std::floor(steps)) * kScale;
      }
      least = std::min(least, error_of(samples, weight, tried, centered));
    }
    const std::vector<float> learned = rounding.rounded(weight, params);
    const double nearest =
        error_of(samples, weight, nearest_weight(weight, shape, params), centered);
    EXPECT_DOUBLE_EQ(error_of(samples, weight, learned, centered), least);
    EXPECT_GT(nearest, 1.5 * least);
    EXPECT_EQ(nearest_weight(learned, shape, params), learned);
  }
}

TEST(WeightRounding, StaysWithinTheIntegersAndRoundsToNearestWithoutSamples) {
  const Layer layer = linear(20, 6, 4);
  WeightRounding rounding(layer.graph, layer.node, false);
  const std::vector<float> weight = numbers(24, 5);
  const Shape shape = {4, 6};
  const QuantParams params = {{0.01F, 0.4F, 0.3F, 0.2F}, {0, 0, 0, 0}, 0, -8, 7};
  EXPECT_EQ(rounding.rounded(weight, params), nearest_weight(weight, shape, params));
  SerialParallel serial;
  std::vector<float> samples = mixed(20, 6, 1);
  samples[3] = std::numeric_limits<float>::quiet_NaN();
  rounding.add(samples, serial);
  EXPECT_EQ(rounding.rounded(weight, params), nearest_weight(weight, shape, params));
  samples[3] = 0;
  rounding.add(samples, serial);
  const std::vector<float> learned = rounding.rounded(weight, params);
  EXPECT_NE(learned, nearest_weight(weight, shape, params));
  EXPECT_EQ(nearest_weight(learned, shape, params), learned);
  rounding.add(std::vector<float>(120), serial);
  WeightRounding zeros(layer.graph, layer.node, false);
  zeros.add(std::vector<float>(120), serial);
  EXPECT_EQ(zeros.rounded(weight, params), nearest_weight(weight, shape, params));
}

// An input that the samples hardly show takes up no errors of others: it may be large elsewhere.
TEST(WeightRounding, MovesNoWeightByAWholeStep) {
  constexpr std::size_t kInputs = 24;
  constexpr std::size_t kRows = 60;
  const Layer layer = linear(kRows, kInputs, 3);
  WeightRounding rounding(layer.graph, layer.node, true);
  std::vector<float> samples = mixed(kRows, kInputs, 17);
  for (std::size_t row = 0; row < kRows; ++row) samples[row * kInputs + 5] *= 1e-3F;
  SerialParallel serial;
  rounding.add(samples, serial);
  const std::vector<float> weight = numbers(3 * kInputs, 19);
  const QuantParams params = {{0.1F, 0.2F, 0.05F}, {0, 0, 0}, 0, -128, 127};
  const std::vector<float> learned = rounding.rounded(weight, params);
  EXPECT_NE(learned, nearest_weight(weight, {3, kInputs}, params));
  for (std::size_t i = 0; i < weight.size(); ++i)
    EXPECT_LT(std::abs(learned[i] - weight[i]), params.scales[i / kInputs] * 1.0001F) << i;
}

TEST(WeightRounding, MomentsMergeAndDoNotDependOnThreads) {
  const Layer layer = linear(300, 70, 2);  // of 300 rows, 128 are taken
  const auto fresh = [&] { return WeightRounding(layer.graph, layer.node, true); };
  const std::vector<float> first = mixed(300, 70, 11);
  const std::vector<float> second = mixed(300, 70, 13);
  SerialParallel serial;
  const std::unique_ptr<Parallel> threads = make_thread_pool(4);
  WeightRounding whole = fresh();
  whole.add(first, serial);
  WeightRounding parallel = fresh();
  parallel.add(first, *threads);
  EXPECT_EQ(whole.save(), parallel.save());
  EXPECT_EQ(whole.save().at("columns"), 128);
  WeightRounding part = fresh();
  part.add(second, serial);
  WeightRounding loaded = fresh();
  ASSERT_TRUE(loaded.load(nlohmann::json::parse(whole.save().dump())).ok());
  EXPECT_EQ(loaded.save(), whole.save());
  loaded.merge(part);
  const std::vector<float> weight = numbers(140, 5);
  const QuantParams params = {{0.1F, 0.2F}, {0, 0}, 0, -127, 127};
  WeightRounding merged = fresh();
  merged.merge(part);
  merged.merge(whole);
  EXPECT_EQ(merged.save(), loaded.save());
  EXPECT_EQ(merged.rounded(weight, params), loaded.rounded(weight, params));
  nlohmann::json bad = whole.save();
  bad["moments"].erase(0);
  EXPECT_EQ(loaded.load(bad).message(), "'moments' is not a list of 2485 numbers");
}

// Of each group the sums of products of what a window meets, over all places.
TEST(WeightRounding, SeesTheWindowsOfConvolutions) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::Float32, {2, 4, 5, 6}});
  const ValueId w = add_float_constant(graph, "w", {6, 2, 3, 2}, std::vector<float>(72));
  Attributes attrs;
  attrs.set("stride", std::vector<std::int64_t>{2, 1});
  attrs.set("pads", std::vector<std::int64_t>{1, 2});
  attrs.set("dilation", std::vector<std::int64_t>{1, 3});
  attrs.set("groups", std::int64_t{2});
  const NodeId node = graph.add_node(Op::Convolution, "conv", {x, w, kNone},
                                     {{DType::Float32, {2, 6, 3, 7}}}, std::move(attrs));
  WeightRounding rounding(graph, node, false);
  const std::vector<float> values = numbers(240, 9);
  SerialParallel serial;
  rounding.add(values, serial);
  const auto at = [&](int batch, int channel, int row, int column) {
    if (row < 0 || row >= 5 || column < 0 || column >= 6) return 0.0;
    return static_cast<double>(
        values[static_cast<std::size_t>(((batch * 4 + channel) * 5 + row) * 6 + column)]);
  };
  std::vector<double> expected;
  for (int group = 0; group < 2; ++group) {
    const auto input = [&](int i, int batch, int row, int column) {
      return at(batch, group * 2 + i / 6, row * 2 - 1 + i / 2 % 3, column - 2 + i % 2 * 3);
    };
    for (int i = 0; i < 12; ++i) {
      for (int j = 0; j <= i; ++j) {
        double sum = 0;
        for (int place = 0; place < 2 * 3 * 7; ++place) {
          const int batch = place / 21;
          const int row = place / 7 % 3;
          sum += input(i, batch, row, place % 7) * input(j, batch, row, place % 7);
        }
        expected.push_back(sum);
      }
    }
  }
  const auto moments = rounding.save().at("moments").get<std::vector<double>>();
  ASSERT_EQ(moments.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(moments[i], expected[i]) << i;
}

}  // namespace
}  // namespace enn

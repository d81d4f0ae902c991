// Channels of like range (equalization.hpp), and ranges chosen by the outputs (range_search.hpp).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "ops/constants.hpp"
#include "pt2e/equalization.hpp"
#include "pt2e/range_search.hpp"
#include "pt2e/test_program.hpp"

namespace enn {
namespace {

using testing::hex;
using testing::program_of;
using testing::random_floats;

constexpr const char* kConvolution =
    "{dilation = [1, 1], groups = 1, pads = [1, 1, 1, 1], stride = [1, 1]}";

// A convolution whose channels differ a thousandfold, an activation, a depthwise and a pointwise
// convolution.
std::string chain(const std::string& activation, std::mt19937& random) {
  std::vector<float> first = random_floats(std::size_t{4} * 2 * 9, random);
  const std::vector<float> sizes = {1.0F, 0.1F, 0.01F, 0.001F};
  for (std::size_t i = 0; i < first.size(); ++i) first[i] *= sizes[i / 18];
  return "graph {\n  input %x: float32[1, 2, 6, 6]\n  constant %w: float32[4, 2, 3, 3] = hex " +
         hex(first) + "\n  constant %b: float32[4] = hex " + hex({0.1F, 0.01F, 0.001F, 0.0001F}) +
         "\n  constant %dw: float32[4, 1, 1, 1] = hex " + hex({1.0F, 10.0F, 100.0F, 1000.0F}) +
         "\n  constant %pw: float32[3, 4, 1, 1] = hex " + hex(random_floats(12, random)) +
         "\n  %c: float32[1, 4, 6, 6] = convolution(%x, %w, %b) " + kConvolution +
         "\n  %a: float32[1, 4, 6, 6] = " + activation +
         "\n  %d: float32[1, 4, 6, 6] = convolution(%a, %dw, none) {dilation = [1, 1], groups = 4, "
         "pads = [0, 0, 0, 0], stride = [1, 1]}"
         "\n  %p: float32[1, 3, 6, 6] = convolution(%d, %pw, none) {dilation = [1, 1], groups = 1, "
         "pads = [0, 0, 0, 0], stride = [1, 1]}\n  return %p\n}";
}

std::vector<Tensor> sample_of(const std::vector<float>& values, const Shape& shape) {
  const auto bytes = std::as_bytes(std::span(values));
  return {{{DType::Float32, shape}, {bytes.begin(), bytes.end()}}};
}

std::vector<float> run(const ExportedProgram& program, const Graph& graph,
                       const std::vector<Tensor>& sample) {
  auto model = Model::compile_graph(graph, program.inputs(), program.outputs());
  EXPECT_TRUE(model.ok()) << model.status().message();
  const auto outputs = model.value()(std::vector{sample.front().view()});
  EXPECT_TRUE(outputs.ok()) << outputs.status().message();
  std::vector<float> values(outputs.value().front().bytes.size() / sizeof(float));
  std::memcpy(values.data(), outputs.value().front().bytes.data(), values.size() * sizeof(float));
  return values;
}

Equalizer equalizer_of(const ExportedProgram& program) {
  auto equalizer = Equalizer::create(program.graph(), program.inputs(), program.outputs(),
                                     program.mutations(), {});
  EXPECT_TRUE(equalizer.ok()) << equalizer.status().message();
  return std::move(equalizer).value();
}

TEST(Equalization, GivesChannelsLikeRangesAndLeavesTheResultsAsTheyAre) {
  std::mt19937 random(1);
  for (const char* activation :
       {"relu(%c)", "leaky_relu(%c) {alpha = 0.1}", "clamp(%c) {max = 6.0, min = 0.0}"}) {
    const ExportedProgram program = program_of(chain(activation, random));
    Equalizer equalizer = equalizer_of(program);
    EXPECT_EQ(equalizer.size(), 2) << activation;  // the depthwise convolution gives the other
    const auto sample = sample_of(random_floats(72, random), {1, 2, 6, 6});
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(equalizer(std::vector{sample.front().view()}).ok()) << activation;
    const auto constants = equalizer.constants();
    ASSERT_TRUE(constants.ok()) << constants.status().message();
    Graph graph = program.graph();
    for (const auto& [id, elements] : constants.value())
      graph.value(id).data = std::make_shared<const std::vector<std::byte>>(bytes_of(elements));
    const std::vector<float> before = run(program, program.graph(), sample);
    const std::vector<float> after = run(program, graph, sample);
    for (std::size_t i = 0; i < before.size(); ++i)
      EXPECT_NEAR(after[i], before[i], 1e-5F * (1 + std::abs(before[i]))) << activation;
    // The last channel was a thousandth of the first; its factor is the root of that at most an
    // eighth.
    const auto& weight = constants.value().begin()->second;
    const auto original = constant_floats(program.graph(), constants.value().begin()->first);
    EXPECT_FLOAT_EQ(weight.front(), original.value().front());
    EXPECT_NEAR(weight.back() / original.value().back(), 8.0F, 0.01F) << activation;
  }
}

TEST(Equalization, LeavesAloneWhatOthersReadToo) {
  std::mt19937 random(2);
  std::string text = chain("relu(%c)", random);
  text.replace(text.find("return %p"), 9, "return %p, %a, %d");
  EXPECT_EQ(equalizer_of(program_of(text)).size(), 0);
  EXPECT_EQ(equalizer_of(program_of(chain("sigmoid(%c)", random))).size(), 1);
}

TEST(Equalization, DoesNotMagnifyAClampedChannelThatIsRarelyActive) {
  std::mt19937 random(3);
  const ExportedProgram program = program_of(chain("clamp(%c) {max = 6.0, min = 0.0}", random));
  Equalizer equalizer = equalizer_of(program);
  const auto active = sample_of(random_floats(72, random), {1, 2, 6, 6});
  const auto silent = sample_of(std::vector<float>(72, 0.0F), {1, 2, 6, 6});
  ASSERT_TRUE(equalizer(std::vector{active.front().view()}).ok());
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(equalizer(std::vector{silent.front().view()}).ok());
  const auto constants = equalizer.constants();
  ASSERT_TRUE(constants.ok());
  const auto original = constant_floats(program.graph(), constants.value().begin()->first);
  EXPECT_EQ(constants.value().begin()->second, original.value());
}

// A value with one element that is large, and that nothing after it makes anything of.
TEST(RangeSearch, ClipsWhatTheOutputsDoNotDependOn) {
  std::mt19937 random(4);
  std::vector<float> first(64);
  std::vector<float> second(64);
  for (std::size_t i = 0; i < 8; ++i) {
    first[i * 8 + i] = i == 0 ? 100.0F : 1.0F;
    second[i * 8 + i] = i == 0 ? 0.0F : 1.0F;
  }
  const ExportedProgram program =
      program_of("graph {\n  input %x: float32[16, 8]\n  constant %w: float32[8, 8] = hex " +
                 hex(first) + "\n  constant %v: float32[8, 8] = hex " + hex(second) +
                 "\n  %a: float32[16, 8] = linear(%x, %w, none)"
                 "\n  %b: float32[16, 8] = linear(%a, %v, none)\n  return %b\n}");
  std::vector<std::vector<Tensor>> samples;
  for (int i = 0; i < 4; ++i) samples.push_back(sample_of(random_floats(128, random), {16, 8}));
  SearchedRange range;
  range.values = {program.graph().node(program.graph().order().front()).outputs.front()};
  range.params = {{300.0F / 127.5F}, {0}, -1, -128, 127};
  std::size_t shown = 0;
  const auto found =
      search_ranges(program.graph(), program.inputs(), program.outputs(), {}, {&range, 1}, samples,
                    {}, [&](std::size_t, std::size_t) { ++shown; });
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(shown, 2);
  // 300 * 0.8^9; what the outputs depend on reaches about 4.
  EXPECT_NEAR(found.value().front().scale() * 127.5F, 300.0F * std::pow(0.8F, 9.0F), 0.5F);
  EXPECT_FALSE(
      search_ranges(program.graph(), program.inputs(), program.outputs(), {}, {&range, 1}, {}, {})
          .ok());
}

// Where the outputs depend on all values alike, what was observed stays.
TEST(RangeSearch, KeepsARangeThatFits) {
  std::mt19937 random(5);
  std::vector<float> identity(64);
  for (std::size_t i = 0; i < 8; ++i) identity[i * 9] = 1.0F;
  const ExportedProgram program =
      program_of("graph {\n  input %x: float32[16, 8]\n  constant %w: float32[8, 8] = hex " +
                 hex(identity) + "\n  %a: float32[16, 8] = linear(%x, %w, none)\n  return %a\n}");
  std::vector<float> values(128);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = (static_cast<float>(i) - 63.5F) / 63.5F;
  const std::vector<std::vector<Tensor>> samples = {sample_of(values, {16, 8})};
  SearchedRange range;
  range.values = {program.graph().outputs().front()};
  range.params = {{1.0F / 127.5F}, {0}, -1, -128, 127};
  const auto found = search_ranges(program.graph(), program.inputs(), program.outputs(), {},
                                   {&range, 1}, samples, {});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found.value().front(), range.params);
}

}  // namespace
}  // namespace enn

#include "pt2e/guard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/closeness.hpp"
#include "enn/pt2e.hpp"
#include "pt2e/test_program.hpp"

namespace enn {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::hex;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::program_of;
using testing::random_floats;
using ::testing::SizeIs;
using Values = std::vector<float>;

constexpr std::uint32_t kSeed = 20;

TensorView row(const Values& values) {
  return {{DType::Float32, {1, static_cast<std::int64_t>(values.size())}},
          std::as_bytes(std::span(values))};
}

// Two branches of two linear layers, each an output.
ExportedProgram two_branches() {
  std::mt19937 random(kSeed);
  const std::string a = hex(random_floats(64, random));
  const std::string b = hex(random_floats(64, random));
  return program_of(R"(graph {
  input %x: float32[1, 8]
  input %y: float32[1, 8]
  constant %a: float32[8, 8] = hex )" +
                    a + R"(
  constant %b: float32[8, 8] = hex )" +
                    b + R"(
  %first: float32[1, 8] = linear(%x, %a, none)
  %relu: float32[1, 8] = relu(%first)
  %second: float32[1, 8] = linear(%relu, %b, none)
  %other: float32[1, 8] = linear(%y, %b, none)
  return %second, %other
})");
}

struct Sample {
  std::vector<Values> inputs;
  [[nodiscard]] std::vector<TensorView> views() const {
    std::vector<TensorView> out;
    for (const Values& values : inputs) out.push_back(row(values));
    return out;
  }
};

std::vector<Sample> random_samples(std::size_t count) {
  std::mt19937 random(kSeed + 1);
  std::vector<Sample> samples(count);
  for (Sample& sample : samples)
    sample.inputs = {random_floats(8, random), random_floats(8, random)};
  return samples;
}

void scale_input(Sample& sample, std::size_t input, float factor) {
  for (float& value : sample.inputs[input]) value *= factor;
}

PreparedModel prepared(const ExportedProgram& program, std::optional<double> guard) {
  EnnQuantizer quantizer;
  EXPECT_TRUE(quantizer.set_observer("minmax").ok());
  EXPECT_TRUE(quantizer.set_guard(guard).ok());
  auto model = prepare_pt2e(program, quantizer);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

QuantizedModel quantized(const ExportedProgram& program, std::span<const Sample> samples,
                         std::optional<double> guard = kDefaultGuard) {
  PreparedModel model = prepared(program, guard);
  for (const Sample& sample : samples) EXPECT_TRUE(model(sample.views()).ok());
  auto converted = convert_pt2e(model);
  EXPECT_TRUE(converted.ok()) << converted.status().message();
  return std::move(converted).value();
}

std::vector<double> doubles(const Tensor& tensor) {
  Values values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return {values.begin(), values.end()};
}

// Of an output, against the float model.
double sqnr(const ExportedProgram& program, QuantizedModel& model, std::span<const Sample> samples,
            std::size_t output) {
  auto floats = Model::compile(program, {});
  EXPECT_TRUE(floats.ok());
  Closeness closeness;
  for (const Sample& sample : samples) {
    const auto expected = floats.value()(sample.views());
    const auto actual = model(sample.views());
    EXPECT_TRUE(expected.ok() && actual.ok());
    closeness.add(doubles(expected.value()[output]), doubles(actual.value()[output]));
  }
  return closeness.sqnr();
}

std::size_t quantizes(const QuantizedModel& model) {
  const Graph& graph = model.exported_program().graph();
  std::size_t count = 0;
  for (const NodeId id : graph.order()) count += graph.node(id).op == Op::Quantize ? 1U : 0U;
  return count;
}

TEST(KeptSamples, AreEveryNthOfAll) {
  KeptSamples kept;
  for (int i = 0; i < 21; ++i) {
    const Values values{static_cast<float>(i)};
    const TensorView input = row(values);
    kept.add({&input, 1});
  }
  Values numbers;
  for (const auto& sample : kept.samples()) {
    float number = 0;
    std::memcpy(&number, sample[0].bytes.data(), sizeof(number));
    numbers.push_back(number);
  }
  EXPECT_THAT(numbers, ElementsAre(0, 4, 8, 12, 16, 20));
  EXPECT_EQ(kept.seen(), 21);
  EXPECT_TRUE(kept.differ());
}

TEST(KeptSamples, AreBoundedInMemory) {
  KeptSamples kept(8, 3 * 16);
  const Values values(4, 1.0F);
  const Values large(20, 1.0F);
  for (int i = 0; i < 9; ++i) {
    const TensorView input = row(i == 4 ? large : values);
    kept.add({&input, 1});
  }
  EXPECT_THAT(kept.samples(), SizeIs(::testing::Le(3U)));
  EXPECT_THAT(kept.samples(), Not(IsEmpty()));
  KeptSamples none(8, 15);
  const TensorView input = row(values);
  none.add({&input, 1});
  EXPECT_THAT(none.samples(), IsEmpty());
}

TEST(Guard, LeavesInFloatWhatAnOutlierTakesTheStepsOf) {
  const ExportedProgram program = two_branches();
  std::vector<Sample> samples = random_samples(9);
  scale_input(samples[4], 0, 1e4F);
  const std::vector<Sample> typical = random_samples(4);
  QuantizedModel without = quantized(program, samples, std::nullopt);
  QuantizedModel guarded = quantized(program, samples);
  EXPECT_LT(sqnr(program, without, typical, 0), 3.0);
  EXPECT_GT(sqnr(program, guarded, typical, 0), 60.0);
  // The other branch is as it was.
  EXPECT_EQ(sqnr(program, guarded, typical, 1), sqnr(program, without, typical, 1));
  EXPECT_EQ(quantizes(without), 5);
  EXPECT_EQ(quantizes(guarded), 2);            // y and its result
  ASSERT_THAT(guarded.warnings(), SizeIs(4));  // x, relu, second; the guard
  EXPECT_THAT(guarded.warnings()[0], HasSubstr("the range of 'x' reaches"));
  EXPECT_THAT(guarded.warnings()[3],
              HasSubstr("the guard leaves in float what 8 bits destroy: 'x' (100 % become 0)"));
  std::vector<std::string> names;
  for (const auto& [name, reason] : guarded.guarded()) {
    names.push_back(name);
    EXPECT_THAT(reason, HasSubstr("outliers make the range of"));
  }
  EXPECT_THAT(names, ElementsAre("x", "relu", "second", "first"));
  EXPECT_THAT(without.warnings(), IsEmpty());
  EXPECT_THAT(without.guarded(), IsEmpty());
}

TEST(Guard, DoesNotTouchWhatIsSound) {
  const ExportedProgram program = two_branches();
  const std::vector<Sample> samples = random_samples(9);
  const QuantizedModel without = quantized(program, samples, std::nullopt);
  const QuantizedModel guarded = quantized(program, samples);
  EXPECT_EQ(guarded.encodings(), without.encodings());
  EXPECT_EQ(print(guarded.exported_program().graph()), print(without.exported_program().graph()));
  EXPECT_THAT(guarded.warnings(), IsEmpty());
}

// Differences of neighbours that are nearly equal: the steps of what is read are larger.
TEST(Guard, LeavesInFloatWhatMagnifiesRounding) {
  Values weight(64, 0.0F);
  for (std::size_t i = 0; i < 8; ++i) {
    weight[8 * i + i] = 1.0F;
    weight[8 * i + (i + 1) % 8] = -1.0F;
  }
  const ExportedProgram program = program_of(R"(graph {
  input %x: float32[1, 8]
  constant %w: float32[8, 8] = hex )" + hex(weight) +
                                             R"(
  %moved: float32[1, 8] = neg(%x)
  %differences: float32[1, 8] = linear(%moved, %w, none)
  %sum: float32[1, 8] = relu(%moved)
  return %differences, %sum
})");
  std::mt19937 random(kSeed);
  std::vector<Sample> samples(6);
  for (Sample& sample : samples) {
    const float mean = 10.0F * random_floats(1, random)[0];
    Values values = random_floats(8, random);
    for (float& value : values) value = mean + 0.01F * value;
    sample.inputs = {values};
  }
  QuantizedModel without = quantized(program, samples, std::nullopt);
  QuantizedModel guarded = quantized(program, samples);
  EXPECT_LT(sqnr(program, without, samples, 0), 3.0);
  EXPECT_GT(sqnr(program, guarded, samples, 0), 20.0);
  EXPECT_GT(quantizes(guarded), 0);
  ASSERT_THAT(guarded.warnings(), SizeIs(1));
  EXPECT_THAT(guarded.warnings()[0], HasSubstr("'differences' ("));
  EXPECT_THAT(guarded.guarded(),
              Contains(::testing::Pair("differences", HasSubstr("it magnifies the rounding"))));
}

TEST(Guard, SaysWhichCalibrationCannotBeTrusted) {
  const ExportedProgram program = two_branches();
  const std::vector<Sample> one = random_samples(1);
  EXPECT_THAT(quantized(program, one).warnings(), ElementsAre(HasSubstr("one sample only")));
  const std::vector<Sample> same(3, one[0]);
  EXPECT_THAT(quantized(program, same).warnings(),
              ElementsAre(HasSubstr("all 3 samples are the same")));
  std::vector<Sample> zeros = random_samples(3);
  for (Sample& sample : zeros) scale_input(sample, 1, 0.0F);
  EXPECT_THAT(quantized(program, zeros).warnings(),
              ElementsAre(HasSubstr("the same number is everywhere in 'y' (0), 'other' (0)")));
}

TEST(Guard, SaysThatItHadNoSamples) {
  const ExportedProgram program = two_branches();
  const std::vector<Sample> samples = random_samples(2);
  PreparedModel first = prepared(program, kDefaultGuard);
  for (const Sample& sample : samples) ASSERT_TRUE(first(sample.views()).ok());
  PreparedModel merged = prepared(program, kDefaultGuard);
  ASSERT_TRUE(merged.merge_statistics(first.statistics()).ok());
  const auto converted = convert_pt2e(merged);
  ASSERT_TRUE(converted.ok());
  EXPECT_THAT(converted.value().warnings(), ElementsAre(HasSubstr("no sample was run here")));
}

}  // namespace
}  // namespace enn

// Statistics, encodings and configurations damaged in thousands of ways: each is taken whole, or
// refused with a sentence and without a change. ENN_FUZZ_SEED and ENN_FUZZ_MUTATIONS choose
// another run.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <random>
#include <string>

#include "enn/pt2e.hpp"
#include "environment.hpp"
#include "pt2e/test_program.hpp"

namespace enn {
namespace {

class TextMutator {
 public:
  explicit TextMutator(std::uint64_t seed) : random_(seed) {}

  std::string mutate(std::string text) {
    static constexpr std::array kTokens = {
        "null", "-1",     "1e999", "0.0",  "\"\"", "{}", "[",     "]",
        "true", "1e38",   "\"x",   "[[[[", ",",    ":",  "1e-46", "18446744073709551616",
        "\xff", "\\u0000"};
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      const std::size_t at = below(text.size() + 1);
      const std::size_t length = std::min(1 + below(8), text.size() - at);
      switch (below(5)) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, kTokens[below(kTokens.size())]);
          break;
        case 2:
          text.replace(at, length, kTokens[below(kTokens.size())]);
          break;
        case 3:
          if (at < text.size()) text[at] = static_cast<char>(below(256));
          break;
        default:
          replace_number(text);
      }
    }
    return text;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }

  // Another number in the place of one, so that the document stays well formed.
  void replace_number(std::string& text) {
    static constexpr std::array kNumbers = {
        "0", "-1", "1e38", "-1e38", "0.5", "1e-40", "128", "-129", "9007199254740993", "1e300"};
    const std::size_t begin = text.find_first_of("0123456789", below(text.size() + 1));
    if (begin == std::string::npos) return;
    const std::size_t end = text.find_first_not_of("0123456789.e-+", begin);
    text.replace(begin, end == std::string::npos ? end : end - begin,
                 kNumbers[below(kNumbers.size())]);
  }

  std::mt19937_64 random_;
};

void expect_sentence(const Status& status, const std::string& text) {
  if (status.ok()) return;
  EXPECT_TRUE(testing::is_printable(status.message())) << "in the message for " << text;
}

TEST(Pt2eJson, DamagedDocumentsAreTakenWholeOrRefused) {
  const auto [seed, mutations] = testing::fuzz_run(20260823, 18'000);
  EnnQuantizer quantizer;
  ASSERT_TRUE(quantizer.set_observer("minmax").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("sum", "histogram").ok());
  ASSERT_TRUE(quantizer.set_observer_for_node("pool", "moving_average").ok());
  ASSERT_TRUE(quantizer.exclude_operator("aten.relu.default").ok());
  const ExportedProgram program = testing::program_of(testing::kSmallModel);
  auto prepared = prepare_pt2e(program, quantizer);
  ASSERT_TRUE(prepared.ok()) << prepared.status().message();
  PreparedModel& model = prepared.value();
  const std::vector<float> values{-1, 0, 1, 2};
  const TensorView input = testing::view_of(values);
  ASSERT_TRUE(model({&input, 1}).ok());
  const std::string statistics = model.statistics();
  const auto converted = convert_pt2e(model);
  ASSERT_TRUE(converted.ok()) << converted.status().message();
  const std::string encodings = converted.value().encodings();
  const std::string aimet = converted.value().aimet_encodings();
  const std::string legacy_aimet =
      R"({"version":"0.6.1","activation_encodings":{"x":[{"bitwidth":8,"dtype":"int",)"
      R"("is_symmetric":"False","max":2.0,"min":-1.0,"offset":-85,"scale":0.011764706}]},)"
      R"("param_encodings":{}})";
  const std::string newest_aimet =
      R"({"version":"2.0.0","encodings":[{"name":"x","output_dtype":"uint8",)"
      R"("y_scale":0.011764706,"y_zero_point":85}]})";
  const std::string configuration = quantizer.to_json();

  TextMutator mutator(seed);
  int taken = 0;
  // Of each of six documents.
  for (std::uint64_t i = 0; i < mutations / 6; ++i) {
    std::string text = mutator.mutate(statistics);
    const std::string before = model.statistics();
    const Status merged = model.merge_statistics(text);
    expect_sentence(merged, text);
    if (merged.ok()) {
      ++taken;
      expect_sentence(convert_pt2e(model).status(), text);
      auto fresh = prepare_pt2e(program, quantizer);
      ASSERT_TRUE(fresh.value().merge_statistics(statistics).ok());
      model = std::move(fresh).value();
    } else {
      ASSERT_EQ(model.statistics(), before);
    }
    for (const std::string* document : {&encodings, &aimet, &legacy_aimet, &newest_aimet}) {
      text = mutator.mutate(*document);
      const Status set = model.set_encodings(text);
      expect_sentence(set, text);
      if (!set.ok()) continue;
      ++taken;
      expect_sentence(convert_pt2e(model).status(), text);
    }
    text = mutator.mutate(configuration);
    const auto read = EnnQuantizer::from_json(text);
    expect_sentence(read.status(), text);
    if (!read.ok()) continue;
    ++taken;
    ASSERT_TRUE(EnnQuantizer::from_json(read.value().to_json()).ok()) << text;
  }
  std::cout << mutations / 6 * 6 << " documents, " << taken << " taken" << std::endl;
  EXPECT_GT(taken, 0);
}

}  // namespace
}  // namespace enn

#include "lowering/pte_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "lowering/pte.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const TensorType kImage{DType::Float32, {1, 3, 4, 4}};
const TensorType kIndex{DType::Int64, {2}};
const TensorType kScalar{DType::Bool, {}};

// With `keeps`, the first input is one of the method's own tensors instead.
std::vector<std::byte> file(bool keeps = false) {
  const auto initial = std::make_shared<const std::vector<std::byte>>(192, std::byte{3});
  using Kept = std::vector<KeptTensor>;
  using Copies = std::vector<TensorCopy>;
  auto bytes = write_pte({.values = {kImage, kIndex, kScalar},
                          .inputs = 2,
                          .arguments = {1, 0, 2},
                          .outputs = {2, 0},
                          .kept = keeps ? Kept{{0, initial}} : Kept{},
                          .copies = keeps ? Copies{{0, 0}} : Copies{},
                          .input_tree = {},
                          .output_tree = {},
                          .compile_specs = {{"key", {std::byte{1}, std::byte{2}}}},
                          .payload = std::vector<std::byte>(300, std::byte{7})});
  EXPECT_TRUE(bytes.ok());
  return bytes.value();
}

void expect_whole(const Result<std::vector<PteMethod>>& methods) {
  ASSERT_TRUE(methods.ok()) << methods.status().message();
  ASSERT_EQ(methods.value().size(), 1U);
  const PteMethod& method = methods.value()[0];
  EXPECT_EQ(method.name, "forward");
  EXPECT_THAT(method.inputs, ElementsAre(kImage, kIndex));
  EXPECT_THAT(method.outputs, ElementsAre(kScalar, kImage));
  EXPECT_EQ(method.planned_bytes, 192 + 16 + 16);
  ASSERT_EQ(method.calls.size(), 1U);
  EXPECT_EQ(method.calls[0].delegate, 0U);
  EXPECT_THAT(method.calls[0].arguments, ElementsAre(1, 0, 2));
  EXPECT_TRUE(method.operators.empty());
  ASSERT_EQ(method.delegates.size(), 1U);
  EXPECT_EQ(method.delegates[0].id, kDelegateName);
  EXPECT_EQ(method.delegates[0].payload.size(), 300U);
  EXPECT_EQ(method.delegates[0].payload.back(), std::byte{7});
  ASSERT_EQ(method.delegates[0].compile_specs.size(), 1U);
  EXPECT_EQ(method.delegates[0].compile_specs[0].key, "key");
  EXPECT_THAT(method.delegates[0].compile_specs[0].value, ElementsAre(std::byte{1}, std::byte{2}));
}

TEST(PteReader, ReadsWhatIsWritten) {
  const auto bytes = file();
  expect_whole(read_pte(bytes));
}

TEST(PteReader, ReadsAtAnyAddress) {
  const auto bytes = file();
  for (std::size_t shift = 1; shift < 8; ++shift) {
    std::vector<std::byte> shifted(shift);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    expect_whole(read_pte(std::span(shifted).subspan(shift)));
  }
}

TEST(PteReader, RefusesEveryShorterFile) {
  const auto bytes = file();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A copy of its own, so that a sanitizer sees a step beyond its end.
    const std::vector<std::byte> cut(bytes.begin(),
                                     bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(read_pte(cut).ok()) << size;
  }
}

TEST(PteReader, SaysWhatIsWrong) {
  const std::vector<std::byte> text(100, std::byte{'x'});
  EXPECT_THAT(read_pte(text).status().message(), HasSubstr("no .pte"));
  EXPECT_EQ(read_pte(text).status().code(), Code::InvalidArgument);
}

TEST(PteReader, SaysWhichInputsTheDelegateReads) {
  const PteMethod method = read_pte(file()).value()[0];
  ASSERT_TRUE(check_single_call(method).ok());
  const TensorType inputs[] = {kIndex, kImage};
  const TensorType results[] = {kScalar};
  const auto call = single_call(method, inputs, results);
  ASSERT_TRUE(call.ok()) << call.status().message();
  using Source = SingleCall::Source;
  EXPECT_THAT(call.value().arguments,
              ElementsAre(Source{Source::Kind::Input, 1}, Source{Source::Kind::Input, 0}));
  EXPECT_THAT(call.value().outputs,
              ElementsAre(Source{Source::Kind::Result, 0}, Source{Source::Kind::Input, 0}));
  EXPECT_TRUE(call.value().kept.empty());

  const TensorType swapped[] = {kImage, kIndex};
  EXPECT_THAT(single_call(method, swapped, results).status().message(),
              HasSubstr("input 1 has another type"));
  EXPECT_THAT(single_call(method, std::span(inputs, 1), results).status().message(),
              HasSubstr("3 tensors, but its payload has 1 inputs and 1 outputs"));
  PteMethod changed = method;
  changed.calls[0].arguments[0] = 2;
  EXPECT_THAT(single_call(changed, inputs, results).status().message(),
              HasSubstr("argument 0 is no input"));
  changed.operators.emplace_back("aten::add.out");
  EXPECT_THAT(check_single_call(changed).message(), HasSubstr("1 operators outside"));
}

// Payloads that are found lie within the file, whatever else is wrong.
TEST(PteReader, SurvivesDamage) {
  const auto whole = file(/*keeps=*/true);
  const unsigned seed = 7;
  std::mt19937 random(seed);
  const std::size_t tables = whole.size() - 384 - 192;  // the payload fills up to 384
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes = whole;
    const auto changes = 1 + random() % 4;
    for (unsigned change = 0; change < changes; ++change)
      bytes[random() % tables] =
          static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random() & 0xFFU);
    const auto methods = read_pte(bytes);
    if (!methods.ok()) continue;
    for (const PteMethod& method : methods.value()) {
      std::vector<std::span<const std::byte>> found;
      for (const PteDelegate& delegate : method.delegates) found.push_back(delegate.payload);
      for (const PteMethod::Kept& kept : method.kept) found.push_back(kept.initial);
      for (const std::span<const std::byte> part : found) {
        if (part.empty()) continue;
        ASSERT_GE(part.data(), bytes.data()) << "seed " << seed << ", " << i;
        ASSERT_LE(part.data() + part.size(), bytes.data() + bytes.size());
      }
    }
  }
}

}  // namespace
}  // namespace enn

#include "lowering/lowering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/file_io.hpp"
#include "compiler/compiler.hpp"
#include "enn/program.hpp"
#include "lowering/pte_reader.hpp"
#include "pte_generated.h"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Graph graph_of(const std::string& text) {
  auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return std::move(graph).value();
}

EdgeProgram lowered(const Graph& graph, const EnnPartitioner& partitioner = EnnPartitioner()) {
  auto program = lower_graph(graph, partitioner);
  EXPECT_TRUE(program.ok()) << program.status().message();
  return std::move(program).value();
}

// The second input is read first, the first twice, the third never; the output of the second node
// is returned before that of the first, and twice; an input is returned as it is.
constexpr const char* kShuffled = R"(graph {
  input %a: float32[2, 3]
  input %b: float32[2, 3]
  input %c: int64[4]
  %early: float32[2, 3] = add(%b, %a)
  %late: float32[2, 3] = mul(%early, %a)
  return %late, %early, %late, %b
}
)";

class Pte : public ::testing::Test {
 protected:
  void write(const EdgeProgram& edge) {
    auto program = edge.to_executorch();
    ASSERT_TRUE(program.ok()) << program.status().message();
    bytes_.assign(program.value().bytes().begin(), program.value().bytes().end());
    ASSERT_GE(bytes_.size(), 40U);
    EXPECT_EQ(text(4, 4), "ET12");
    EXPECT_EQ(text(8, 4), "eh00");
    EXPECT_EQ(number<std::uint32_t>(12), 32U);
    const auto size = number<std::uint64_t>(16);
    base_ = number<std::uint64_t>(24);
    EXPECT_EQ(base_ % 128, 0U);
    EXPECT_LE(size, base_);
    EXPECT_EQ(base_ + number<std::uint64_t>(32), bytes_.size());
    // flatbuffers::Verifier and GetRoot take the root's offset from the first four bytes; the
    // header in between belongs to no table.
    flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes_.data()), size);
    ASSERT_TRUE(pte::VerifyProgramBuffer(verifier));
    program_ = pte::GetProgram(bytes_.data());
  }

  [[nodiscard]] std::string text(std::size_t at, std::size_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at, size};
  }

  template <typename T>
  [[nodiscard]] T number(std::size_t at) const {
    T value{};
    std::memcpy(&value, bytes_.data() + at, sizeof(value));
    return value;
  }

  std::vector<std::byte> bytes_;
  std::uint64_t base_ = 0;
  const pte::Program* program_ = nullptr;
};

template <typename T>
std::vector<T> list(const flatbuffers::Vector<T>* vector) {
  return {vector->begin(), vector->end()};
}

TEST_F(Pte, ArgumentsAndResultsAreInTheOrderOfTheirUse) {
  const EdgeProgram edge = lowered(graph_of(kShuffled));
  ASSERT_NO_FATAL_FAILURE(write(edge));
  const pte::ExecutionPlan& plan = *program_->execution_plan()->Get(0);
  EXPECT_EQ(plan.name()->str(), "forward");
  EXPECT_THAT(list(plan.inputs()), ElementsAre(0, 1, 2));
  EXPECT_THAT(list(plan.outputs()), ElementsAre(4, 3, 4, 1));
  const auto* instructions = plan.chains()->Get(0)->instructions();
  ASSERT_EQ(instructions->size(), 1U);
  const auto* call = instructions->Get(0)->arguments_as_DelegateCall();
  ASSERT_NE(call, nullptr);
  EXPECT_THAT(list(call->args()), ElementsAre(1, 0, 3, 4));

  auto program = Program::load(edge.payload());
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_EQ(program.value()->inputs().size(), 2U);
  EXPECT_EQ(program.value()->outputs().size(), 2U);
}

TEST_F(Pte, TensorsAreSideBySideInThePlannedBuffer) {
  ASSERT_NO_FATAL_FAILURE(write(lowered(graph_of(kShuffled))));
  const pte::ExecutionPlan& plan = *program_->execution_plan()->Get(0);
  ASSERT_EQ(plan.values()->size(), 5U);
  std::vector<std::uint32_t> offsets;
  for (const pte::EValue* value : *plan.values()) {
    const pte::Tensor* tensor = value->value_as_Tensor();
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->allocation()->memory_id(), 1U);
    offsets.push_back(tensor->allocation()->memory_offset_low());
  }
  EXPECT_THAT(offsets, ElementsAre(0U, 32U, 64U, 96U, 128U));  // 24 or 32 bytes each
  EXPECT_THAT(list(plan.non_const_buffer_sizes()), ElementsAre(0, 160));
  const pte::Tensor& third = *plan.values()->Get(2)->value_as_Tensor();
  EXPECT_EQ(third.scalar_type(), pte::ScalarType_Long);
  EXPECT_THAT(list(third.sizes()), ElementsAre(4));
  EXPECT_THAT(list(plan.values()->Get(0)->value_as_Tensor()->dim_order()), ElementsAre(0, 1));
}

TEST_F(Pte, ThePayloadIsASegment) {
  auto spec = gen_samsung_backend_compile_spec("e9955");
  ASSERT_TRUE(spec.ok());
  const EdgeProgram edge = lowered(graph_of(kShuffled), EnnPartitioner({spec.value()}));
  ASSERT_NO_FATAL_FAILURE(write(edge));
  const pte::BackendDelegate& delegate = *program_->execution_plan()->Get(0)->delegates()->Get(0);
  EXPECT_EQ(delegate.id()->str(), "EnnBackend");
  ASSERT_EQ(delegate.processed()->location(), pte::DataLocation_Segment);
  const pte::DataSegment& segment = *program_->segments()->Get(delegate.processed()->index());
  EXPECT_EQ(segment.size(), edge.payload().size());
  EXPECT_EQ(
      std::memcmp(bytes_.data() + base_ + segment.offset(), edge.payload().data(), segment.size()),
      0);
  ASSERT_EQ(delegate.compile_specs()->size(), 1U);
  EXPECT_EQ(delegate.compile_specs()->Get(0)->key()->str(), "enn_compile_options");
  const auto value = list(delegate.compile_specs()->Get(0)->value());
  EXPECT_EQ(std::string(value.begin(), value.end()), R"({"chipset":"E9955","perf_mode":0})");
}

TEST_F(Pte, IsSavedAsAWhole) {
  const EdgeProgram edge = lowered(graph_of(kShuffled));
  const auto program = edge.to_executorch();
  ASSERT_TRUE(program.ok());
  const auto path = std::filesystem::path(::testing::TempDir()) / "lowering_test.pte";
  ASSERT_TRUE(program.value().save(path).ok());
  const auto read = read_file(path);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value(),
            std::vector<std::byte>(program.value().bytes().begin(), program.value().bytes().end()));
  std::filesystem::remove(path);
  EXPECT_THAT(program.value().save("/no/such/folder/m.pte").message(), HasSubstr("/no/such"));
}

// A buffer is added to; another gets what the first was, and that is returned too; a third gets a
// constant.
TEST_F(Pte, BuffersAreWrittenAfterTheDelegateHasRun) {
  const Graph graph = graph_of(R"(graph {
  input %h: float32[2]
  input %before: float32[2]
  input %flag: float32[2]
  input %x: float32[2]
  constant %one: float32[2] = hex 0000803f0000803f
  %next: float32[2] = add(%h, %x)
  return %next, %h, %one, %h, %next
}
)");
  const auto initial = [](float a, float b) {
    const std::array values{a, b};
    const auto bytes = std::as_bytes(std::span(values));
    return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  };
  auto edge = lower_graph(
      graph, EnnPartitioner(), std::nullopt, std::nullopt,
      {{"h", 0, 0, initial(1, 2)}, {"before", 1, 1, initial(3, 4)}, {"flag", 2, 2, initial(0, 0)}});
  ASSERT_TRUE(edge.ok()) << edge.status().message();
  ASSERT_NO_FATAL_FAILURE(write(edge.value()));
  const auto methods = read_pte(bytes_);
  ASSERT_TRUE(methods.ok()) << methods.status().message();
  const PteMethod& method = methods.value()[0];
  EXPECT_EQ(method.inputs.size(), 1U);
  EXPECT_EQ(method.outputs.size(), 2U);
  ASSERT_TRUE(check_single_call(method).ok());
  auto program = Program::load(edge.value().payload());
  ASSERT_TRUE(program.ok()) << program.status().message();
  const auto call = single_call(method, program.value()->inputs(), program.value()->outputs());
  ASSERT_TRUE(call.ok()) << call.status().message();
  ASSERT_EQ(call.value().kept.size(), 3U);
  EXPECT_EQ(call.value().kept[0].initial, *initial(1, 2));
  EXPECT_EQ(call.value().kept[1].initial, *initial(3, 4));
  EXPECT_EQ(call.value().kept[2].initial, *initial(0, 0));
  // Nothing that is copied or returned is overwritten before.
  using Source = SingleCall::Source;
  ASSERT_EQ(call.value().copies.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(call.value().copies[i].to, i);
    EXPECT_EQ(call.value().copies[i].from.kind, Source::Kind::Result) << i;
  }
  for (const Source& output : call.value().outputs) EXPECT_EQ(output.kind, Source::Kind::Result);
  EXPECT_EQ(call.value().outputs[1], call.value().copies[0].from);
  // Two calls, as a runtime makes them.
  std::vector<std::vector<std::byte>> kept;
  for (const auto& buffer : call.value().kept) kept.push_back(buffer.initial);
  std::vector<std::vector<std::byte>> results(program.value()->outputs().size());
  const auto x = initial(10, 10);
  SerialParallel serial;
  for (int i = 0; i < 2; ++i) {
    std::vector<const std::byte*> sources;
    for (const Source& argument : call.value().arguments) {
      sources.push_back(argument.kind == Source::Kind::Kept ? kept[argument.index].data()
                                                            : x->data());
    }
    std::vector<std::byte*> targets;
    for (auto& result : results) {
      result.resize(2 * sizeof(float));
      targets.push_back(result.data());
    }
    ASSERT_TRUE(program.value()->execute(sources, targets, serial).ok());
    for (const auto& copy : call.value().copies) kept[copy.to] = results[copy.from.index];
  }
  EXPECT_EQ(kept[0], *initial(21, 22));
  EXPECT_EQ(kept[1], *initial(11, 12));
  EXPECT_EQ(kept[2], *initial(1, 1));
  EXPECT_EQ(results[call.value().outputs[0].index], *initial(11, 12));
}

std::string refusal(const std::string& text) {
  auto result = lower_graph(graph_of(text), EnnPartitioner());
  EXPECT_EQ(result.status().code(), Code::Unsupported);
  return result.status().message();
}

TEST(Lowering, NamesWhatIsNotTaken) {
  EXPECT_THAT(refusal(R"(graph {
  input %a: float32[2, 3]
  %b: float32[2, 3] = unknown(%a) from "aten.wild.default"
  %c: float32[2, 3] = relu(%b)
  %d: float32[2, 3] = unknown(%c) from "aten.wild.default"
  return %d
}
)"),
              ::testing::AllOf(HasSubstr("node 'b' (aten.wild.default) is not taken: "),
                               HasSubstr("; of 3 nodes, 2 are not taken")));
}

TEST(Lowering, NeedsSomethingToRun) {
  EXPECT_THAT(refusal("graph {\n  input %a: float32[2]\n  return %a\n}\n"),
              HasSubstr("no operator"));
}

TEST(Lowering, TheNamesOfNodesAreNotInThePayload) {
  std::string renamed = kShuffled;
  for (const auto& [from, to] : {std::pair("%early", "%aten_add_tensor"),
                                 {"%a:", "%x:"},
                                 {"%a)", "%x)"},
                                 {"%late", "%aten_mul_tensor"}}) {
    for (auto at = renamed.find(from); at != std::string::npos; at = renamed.find(from, at + 2))
      renamed.replace(at, std::strlen(from), to);
  }
  ASSERT_NE(renamed, kShuffled);
  const EdgeProgram one = lowered(graph_of(kShuffled));
  const EdgeProgram other = lowered(graph_of(renamed));
  EXPECT_TRUE(std::ranges::equal(one.payload(), other.payload()));
}

TEST(CompileSpecs, UnknownChipsetsAreListed) {
  EXPECT_THAT(gen_samsung_backend_compile_spec("E1\n").status().message(),
              HasSubstr("chipset 'E1?' is not known; the chipsets are [E9955, E9965]"));
}

TEST(CompileSpecs, ForeignContentIsRefused) {
  for (const std::string value : {"", "\xFF", "[]", "{}", R"({"chipset": 3})", "null"}) {
    const auto* bytes = reinterpret_cast<const std::byte*>(value.data());
    const CompileSpec spec{std::string(kCompileOptions), {bytes, bytes + value.size()}};
    EXPECT_EQ(check_compile_specs({{spec}}).code(), Code::InvalidArgument) << value;
    EXPECT_FALSE(lower_graph(graph_of(kShuffled), EnnPartitioner({spec})).ok());
  }
  const CompileSpec other{"other", {}};
  EXPECT_TRUE(check_compile_specs({{other}}).ok());
}

}  // namespace
}  // namespace enn

#include "enn/symbolic_program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "base/failing_memory.hpp"
#include "base/payload_header.hpp"
#include "symbolic/symbolic_graph.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SymbolicInteger symbol(const char* name) { return {0, str("Symbol('", name, "', integer=True)")}; }

// y = view(x [s0, s1, 2] @ weight [2, 2], [s0, 2 * s1]); an integer input stands for s1.
SymbolicGraph sample() {
  const SymbolicInteger rows = symbol("s0");
  const SymbolicInteger columns = symbol("s1");
  const SymbolicInteger twice{0, "Mul(Integer(2), Symbol('s1', integer=True))"};
  const std::array<float, 4> elements{0, 1, 2, 0};
  auto data = std::make_shared<std::vector<std::byte>>(sizeof elements);
  std::memcpy(data->data(), elements.data(), sizeof elements);

  SymbolicGraph graph;
  const ValueId weight = graph.add_constant("weight", {DType::Float32, {2, 2}}, std::move(data));
  const ValueId x = graph.add_input("x", {DType::Float32, {rows, columns, {2, {}}}});
  graph.add_integer_input("n", columns);
  SymbolicCall matmul;
  matmul.call = {"aten.matmul.default", "matmul", {}, {}, "model.py:1"};
  matmul.call.arguments = {{"self", TensorArgument{x}}, {"other", TensorArgument{weight}}};
  matmul.results = {{DType::Float32, {rows, columns, {2, {}}}}};
  const ValueId product = graph.add_call(std::move(matmul));
  SymbolicCall view;
  view.call = {"aten.view.default", "view", {{"self", TensorArgument{product}}}, {}, ""};
  view.arguments = {{"size", {rows, twice}, true}};
  view.results = {{DType::Float32, {rows, twice}}};
  graph.set_outputs({graph.add_call(std::move(view))});
  return graph;
}

std::vector<float> run(Program& program, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const std::array<const std::byte*, 1> inputs{reinterpret_cast<const std::byte*>(x.data())};
  const std::array<std::byte*, 1> outputs{reinterpret_cast<std::byte*>(y.data())};
  const auto threads = make_thread_pool(1);
  const Status status = program.execute(inputs, outputs, *threads);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

TEST(SymbolicProgram, RunsWithEverySize) {
  const std::vector<std::byte> payload = sample().write();
  ASSERT_TRUE(SymbolicProgram::holds(payload));
  const auto loaded = SymbolicProgram::load(payload);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  SymbolicProgram& program = *loaded.value();
  EXPECT_THAT(program.integer_inputs(), ElementsAre(false, true));
  EXPECT_EQ(program.output_count(), 1U);
  for (const std::int64_t rows : {1, 3}) {
    for (const std::int64_t columns : {1, 2, 5}) {
      const std::vector<Shape> sizes{{rows, columns, 2}, {columns}};
      const auto specialized = program.specialize(sizes);
      ASSERT_TRUE(specialized.ok()) << specialized.status().message();
      ASSERT_EQ(specialized.value()->outputs().size(), 1U);
      EXPECT_THAT(specialized.value()->outputs()[0].shape, ElementsAre(rows, 2 * columns));
      std::vector<float> x(static_cast<std::size_t>(rows * columns * 2));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
      const std::vector<float> y = run(*specialized.value(), x);
      for (std::size_t i = 0; i < x.size(); i += 2) {
        EXPECT_EQ(y[i], 2 * x[i + 1]);
        EXPECT_EQ(y[i + 1], x[i]);
      }
    }
  }
}

TEST(SymbolicProgram, DimensionsMayLieInAnotherOrder) {
  SymbolicGraph graph = sample();
  graph.set_orders({{1, 0, 2}}, {{1, 0}});
  const auto loaded = SymbolicProgram::load(graph.write());
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  constexpr std::size_t kRows = 2;
  constexpr std::size_t kColumns = 3;
  const auto program = loaded.value()->specialize(std::vector<Shape>{{kRows, kColumns, 2}, {3}});
  ASSERT_TRUE(program.ok()) << program.status().message();
  EXPECT_THAT(program.value()->inputs()[0].shape, ElementsAre(kColumns, kRows, 2));
  EXPECT_THAT(program.value()->outputs()[0].shape, ElementsAre(2 * kColumns, kRows));
  EXPECT_THAT(program.value()->input_orders(), ElementsAre(ElementsAre(1, 0, 2)));
  EXPECT_THAT(program.value()->output_orders(), ElementsAre(ElementsAre(1, 0)));
  std::vector<float> x(kRows * kColumns * 2);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const std::vector<float> y = run(*program.value(), x);
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      const std::size_t from = (column * kRows + row) * 2;
      EXPECT_EQ(y[2 * column * kRows + row], 2 * x[from + 1]);
      EXPECT_EQ(y[(2 * column + 1) * kRows + row], x[from]);
    }
  }
  graph.set_orders({{1, 0}}, {});
  const auto refused = SymbolicProgram::load(graph.write());
  ASSERT_TRUE(refused.ok());
  EXPECT_THAT(refused.value()->specialize(std::vector<Shape>{{2, 3, 2}, {3}}).status().message(),
              HasSubstr("entries are not an order of 3 dimensions"));
}

TEST(SymbolicProgram, TheProgramsOfTheLastSizesAreKept) {
  const auto loaded = SymbolicProgram::load(sample().write());
  ASSERT_TRUE(loaded.ok());
  const auto program_for = [&](std::int64_t columns) {
    return loaded.value()->specialize(std::vector<Shape>{{1, columns, 2}, {columns}}).value();
  };
  const Program* const first = program_for(1);
  for (const std::int64_t columns : {2, 3, 4, 1, 5, 6}) program_for(columns);
  EXPECT_EQ(program_for(1), first);
}

TEST(SymbolicProgram, WrongSizesAreNamed) {
  const auto loaded = SymbolicProgram::load(sample().write());
  ASSERT_TRUE(loaded.ok());
  const auto message = [&](const std::vector<Shape>& sizes) {
    const auto specialized = loaded.value()->specialize(sizes);
    EXPECT_EQ(specialized.status().code(), Code::InvalidArgument);
    return specialized.status().message();
  };
  EXPECT_THAT(message({{1, 2, 3}, {2}}), HasSubstr("dimension 2 of input 'x' is 3, expected 2"));
  EXPECT_THAT(message({{1, 2}, {2}}), HasSubstr("input 'x' has 2 dimensions, expected 3"));
  EXPECT_THAT(message({{1, 2, 2}, {4}}), HasSubstr("is no size that the model was exported for"));
  EXPECT_THAT(message({{1, 2, 2}}), HasSubstr("takes 2 inputs, not 1"));
  const std::int64_t large = std::int64_t{1} << 38;
  EXPECT_THAT(message({{large, large, 2}, {large}}), HasSubstr("impossible shape"));
}

// A small file cannot ask for much: constants of 1 GiB each, made from nothing.
TEST(SymbolicProgram, MemoryIsLimited) {
  SymbolicGraph graph;
  const SymbolicInteger size = symbol("s0");
  graph.set_outputs({graph.add_input("x", {DType::Float32, {size}})});
  for (int i = 0; i < 3; ++i) {
    SymbolicCall call;
    call.call = {"aten.full.default", str("full_", i), {{"fill_value", 1.0}}, {}, {}};
    call.arguments = {{"size", {size}, true}};
    call.results = {{DType::Float32, {size}}};
    static_cast<void>(graph.add_call(std::move(call)));
  }
  const auto loaded = SymbolicProgram::load(graph.write());
  ASSERT_TRUE(loaded.ok());
  for (const std::int64_t elements : {std::int64_t{1} << 28, std::int64_t{1} << 36}) {
    const Status status = loaded.value()->specialize(std::vector<Shape>{{elements}}).status();
    EXPECT_EQ(status.code(), Code::ResourceExhausted);
    EXPECT_THAT(status.message(), HasSubstr("bytes are allowed"));
  }
}

// Each allocation of a load and a compilation fails once, then all that follow too. Not the small
// ones: GCC 12's libstdc++ (its bug 112591) destroys a std::variant whose copy ran out of memory as
// if it held something, and a node's attributes are such variants.
TEST(SymbolicProgram, ExhaustedMemoryIsAnError) {
  const std::vector<std::byte> payload = sample().write();
  const std::vector<Shape> sizes{{2, 3, 2}, {3}};
  for (const std::int64_t failures : {std::int64_t{1}, testing::kNever}) {
    bool failed = true;
    for (std::int64_t count = 0; failed; ++count) {
      ASSERT_LT(count, 100'000);
      const testing::FailingMemory memory(count, failures, 128);
      const auto loaded = SymbolicProgram::load(payload);
      const Status status =
          loaded.ok() ? loaded.value()->specialize(sizes).status() : loaded.status();
      failed = memory.failed();
      ASSERT_TRUE(status.ok() ? !failed || failures == 1 : status.code() == Code::ResourceExhausted)
          << status.message() << " after " << count << " allocations";
    }
  }
}

TEST(SymbolicProgram, OtherProgramsAreRefusedAndRefuseIt) {
  const std::vector<std::byte> payload = sample().write();
  EXPECT_THAT(Program::load(payload).status().message(), HasSubstr("sizes that only a run knows"));
  EXPECT_FALSE(SymbolicProgram::holds(std::span(payload).first(70)));
  EXPECT_FALSE(SymbolicProgram::load(std::span(payload).first(payload.size() - 1)).ok());
}

// Bytes change behind the checksum: whatever they say, load() and specialize() end in a result.
TEST(SymbolicProgram, DamagedFilesEndInAMessage) {
  const std::vector<std::byte> payload = sample().write();
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::byte> damaged = payload;
    for (unsigned change = 0; change < 1 + random() % 4; ++change) {
      const std::size_t at =
          kPayloadHeaderBytes + random() % (payload.size() - kPayloadHeaderBytes);
      damaged[at] = static_cast<std::byte>(random() % 4 == 0 ? 0xFF : random());
    }
    write_payload_header(damaged);
    const auto loaded = SymbolicProgram::load(damaged);
    if (!loaded.ok()) {
      ++refused;
      continue;
    }
    const auto program = loaded.value()->specialize(std::vector<Shape>{{2, 3, 2}, {3}});
    refused += program.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace enn

// What Program::load refuses, and the sentence that says why.
#include "enn/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "runtime/all_operators_program.hpp"

namespace enn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ProgramMaker;

Status load(std::span<const std::byte> payload, const LoadOptions& options = {}) {
  return Program::load(payload, options).status();
}

// x (input) -> Lut -> y (arena) -> Lut -> z (output), 16 elements each, and one constant.
struct Chain {
  ProgramMaker maker;
  std::uint32_t x = maker.input(program::DType_UInt8, {4, 4});
  std::uint32_t y = maker.arena(program::DType_UInt8, {4, 4});
  std::uint32_t z = maker.output(program::DType_UInt8, {4, 4});
  std::uint32_t table =
      maker.constant(program::DType_UInt8, {256}, std::vector<std::uint8_t>(256, 7));

  Chain() {
    maker.step(lut(x, y), "first");
    maker.step(lut(y, z), "second");
  }

  [[nodiscard]] program::LutT lut(std::uint32_t from, std::uint32_t to) const {
    program::LutT op;
    op.input = from;
    op.table = table;
    op.output = to;
    return op;
  }
  [[nodiscard]] program::TensorT& tensor(std::uint32_t id) const {
    return *maker.program.tensors[id];
  }
  [[nodiscard]] program::LutT& step(std::size_t index) const {
    return *maker.program.steps[index]->op.AsLut();
  }
};

struct Refusal {
  const char* name;
  std::function<void(Chain&)> damage;
  const char* message;
  Code code = Code::InvalidProgram;
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithASentence) {
  Chain chain;
  ASSERT_TRUE(load(chain.maker.payload()).ok());
  GetParam().damage(chain);
  const Status status = load(chain.maker.payload());
  EXPECT_EQ(status.code(), GetParam().code) << status.message();
  EXPECT_THAT(status.message(), HasSubstr(GetParam().message));
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const Refusal kRefusals[] = {
    {"newer_version", [](Chain& c) { c.maker.program.version = 6; }, "version 6"},
    {"version_zero", [](Chain& c) { c.maker.program.version = 0; }, "version 0"},
    {"unknown_dtype", [](Chain& c) { c.tensor(c.y).dtype = static_cast<program::DType>(17); },
     "tensor 1 has the unknown dtype 17"},
    {"rank_nine", [](Chain& c) { c.tensor(c.y).shape = {1, 1, 1, 1, 1, 1, 1, 4, 4}; },
     "tensor 1 has 9 dimensions"},
    {"zero_dimension", [](Chain& c) { c.tensor(c.y).shape = {4, 0}; },
     "tensor 1 has a dimension of 0"},
    {"huge_dimension", [](Chain& c) { c.tensor(c.y).shape = {0xFFFFFFFFU}; },
     "tensor 1 has a dimension of 4294967295"},
    {"overflowing_shape",
     [](Chain& c) { c.tensor(c.y).shape = {1U << 31U, 1U << 31U, 1U << 31U, 1U << 31U, 4, 4}; },
     "is too large"},
    {"nan_scale", [](Chain& c) { c.tensor(c.y).scale = kNan; }, "tensor 1 has the scale nan"},
    {"zero_scale", [](Chain& c) { c.tensor(c.y).scale = 0; }, "tensor 1 has the scale 0"},
    {"negative_scale", [](Chain& c) { c.tensor(c.y).scale = -1; }, "tensor 1 has the scale -1"},
    {"zero_point_256", [](Chain& c) { c.tensor(c.y).zero_point = 256; },
     "tensor 1 of uint8 has the zero point 256"},
    {"arena_tensor_outside", [](Chain& c) { c.tensor(c.y).offset = 49; },
     "tensor 1 (16 bytes at 49) lies outside the arena of 64 bytes"},
    {"arena_offset_overflow",
     [](Chain& c) { c.tensor(c.y).offset = std::numeric_limits<std::uint64_t>::max() - 3; },
     "lies outside the arena"},
    {"unaligned_arena_tensor",
     [](Chain& c) { c.maker.tensor(program::Storage_Arena, 2, program::DType_Float32, {4}); },
     "no multiple of its element's 4 bytes"},
    {"constant_outside", [](Chain& c) { c.tensor(c.table).offset = 1; },
     "tensor 3 (256 bytes at 1) lies outside the constants of 256 bytes"},
    {"no_constants", [](Chain& c) { c.maker.program.constants.clear(); },
     "lies outside the constants of 0 bytes"},
    {"input_index", [](Chain& c) { c.tensor(c.x).offset = 1; },
     "tensor 0 is input 1 of a program with 1"},
    {"output_index", [](Chain& c) { c.tensor(c.z).offset = 3; },
     "tensor 2 is output 3 of a program with 1"},
    {"unknown_storage", [](Chain& c) { c.tensor(c.y).storage = static_cast<program::Storage>(9); },
     "tensor 1 has the unknown storage 9"},
    {"input_list_out_of_range", [](Chain& c) { c.maker.program.inputs = {99}; },
     "input 0 is tensor 99 of 4"},
    {"input_list_names_the_arena", [](Chain& c) { c.maker.program.inputs = {c.y}; },
     "input 0 is tensor 1, which lies elsewhere (Arena 0)"},
    {"input_listed_twice", [](Chain& c) { c.maker.program.inputs = {c.x, c.x}; },
     "input 1 is tensor 0, which lies elsewhere (Input 0)"},
    {"output_list_names_the_input", [](Chain& c) { c.maker.program.outputs = {c.x}; },
     "output 0 is tensor 0, which lies elsewhere (Input 0)"},
    {"inputs_missing", [](Chain& c) { c.maker.program.inputs.clear(); },
     "tensor 0 is input 0 of a program with 0"},
    {"no_outputs",
     [](Chain& c) {
       c.maker.program.outputs.clear();
       c.tensor(c.z).storage = program::Storage_Arena;
     },
     "the program has no output"},
    {"view_of_other_size",
     [](Chain& c) { c.maker.tensor(program::Storage_Input, 0, program::DType_UInt8, {17}); },
     "tensor 4 has 17 bytes, but input 0, which it views, has 16"},
    {"arena_larger_than_its_tensors",
     [](Chain& c) { c.maker.program.arena_bytes = std::uint64_t{1} << 40U; },
     "its tensors end at 16"},
    {"no_tensors", [](Chain& c) { c.maker.program.tensors.clear(); }, "input 0 is tensor 0 of 0"},
    {"no_steps", [](Chain& c) { c.maker.program.steps.clear(); }, "no step writes output 0"},
    {"output_not_written", [](Chain& c) { c.step(1).output = c.y; }, "no step writes output 0"},
    {"output_written_twice", [](Chain& c) { c.maker.step(c.lut(c.y, c.z), "third"); },
     "step 2 (Lut 'third'): it writes output 0 a second time"},
    {"read_before_written",
     [](Chain& c) { std::swap(c.maker.program.steps[0], c.maker.program.steps[1]); },
     "step 0 (Lut 'second'): it reads tensor 1 before all of it is written"},
    {"output_read_before_written", [](Chain& c) { c.step(0).input = c.z; },
     "it reads tensor 2 before all of it is written"},
    {"partly_written",
     [](Chain& c) {
       c.step(1).input = c.maker.tensor(program::Storage_Arena, 1, program::DType_UInt8, {4, 4});
     },
     "it reads tensor 4 before all of it is written"},
    {"writes_the_input", [](Chain& c) { c.step(0).output = c.x; },
     "it writes tensor 0, which is in the storage Input"},
    {"writes_a_constant", [](Chain& c) { c.step(0).output = c.table; },
     "it writes tensor 3, which is in the storage Constant"},
    {"result_overlaps_operand",
     [](Chain& c) {
       c.step(1).output = c.maker.tensor(program::Storage_Arena, 8, program::DType_UInt8, {4, 4});
     },
     "overlaps another of its tensors"},
    {"tensor_id", [](Chain& c) { c.step(0).input = 4; }, "it names tensor 4 of 4"},
    {"table_is_no_constant",
     [](Chain& c) { c.step(1).table = c.maker.input(program::DType_UInt8, {256}); },
     "its tensor 4 must be a constant but is in the storage Input"},
    {"operator_none", [](Chain& c) { c.maker.program.steps[0]->op.Reset(); }, "it has no operator"},
    {"shapes_differ", [](Chain& c) { c.tensor(c.y).shape = {16}; }, "step 0 (Lut 'first')"},
    {"name_with_control_bytes",
     [](Chain& c) {
       c.maker.program.steps[0]->name = "a\n\x1B[31m\xFFz";
       c.step(0).input = 4;
     },
     "step 0 (Lut 'a??[31m?z')"},
    {"long_name",
     [](Chain& c) {
       c.maker.program.steps[0]->name = std::string(100'000, 'n');
       c.step(0).input = 4;
     },
     "nnn'): it names tensor 4 of 4"},
};

INSTANTIATE_TEST_SUITE_P(Program, Refused, ::testing::ValuesIn(kRefusals),
                         [](const auto& refusal) { return refusal.param.name; });

TEST(ProgramLoad, MessagesAreShortPrintableAscii) {
  for (const Refusal& refusal : kRefusals) {
    Chain chain;
    refusal.damage(chain);
    const std::string message = load(chain.maker.payload()).message();
    EXPECT_LT(message.size(), 400U);
    for (const char c : message) EXPECT_TRUE(c >= ' ' && c <= '~') << refusal.name;
  }
}

TEST(ProgramLoad, AnUnknownOperatorIsNamedByItsNumber) {
  const Chain chain;
  std::vector<std::byte> payload = chain.maker.payload();
  const auto* const root = program::GetProgram(payload.data() + kPayloadHeaderBytes);
  auto* const step = const_cast<program::Step*>(root->steps()->Get(0));
  ASSERT_TRUE(reinterpret_cast<flatbuffers::Table*>(step)->SetField<std::uint8_t>(
      program::Step::VT_OP_TYPE, 200, 0));
  write_payload_header(payload);
  EXPECT_THAT(load(payload).message(), HasSubstr("unknown number 200"));
}

TEST(ProgramLoad, EveryFlippedBitAndEveryTruncationIsRefused) {
  std::vector<std::byte> payload = testing::all_operators_program().payload();
  ASSERT_TRUE(load(payload).ok()) << load(payload).message();
  for (std::size_t i = 0; i < payload.size() * 8; ++i) {
    const std::byte bit{static_cast<unsigned char>(1U << (i % 8))};
    payload[i / 8] ^= bit;
    ASSERT_FALSE(load(payload).ok()) << "bit " << i;
    payload[i / 8] ^= bit;
  }
  for (std::size_t size = 0; size < payload.size(); ++size) {
    ASSERT_FALSE(load(std::span(payload).first(size)).ok()) << size;
  }
}

TEST(ProgramLoad, TruncationsWithRightChecksumsAreRefused) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  const auto body = std::span(payload).subspan(kPayloadHeaderBytes);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::vector<std::byte> cut = testing::payload_of(body.first(size));
    ASSERT_FALSE(load(cut).ok()) << size;
  }
}

TEST(ProgramLoad, LimitsAreTheCallers) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  LoadOptions options;
  options.max_memory_bytes = 100;
  EXPECT_THAT(load(payload, options),
              AllOf(::testing::Property(&Status::code, Code::ResourceExhausted),
                    ::testing::Property(&Status::message, HasSubstr("100 are allowed"))));
  options = {};
  options.max_operations = 1000;
  EXPECT_THAT(load(payload, options).message(),
              AllOf(HasSubstr("elementary operations; 1000 are allowed")));
  options = {};
  options.max_threads = 0;
  EXPECT_EQ(load(payload, options).code(), Code::InvalidArgument);
  options = {};
  options.isa = "mmx";
  EXPECT_EQ(load(payload, options).code(), Code::InvalidArgument);
}

// A file of some hundred bytes whose run would take 2^62 multiply-adds.
TEST(ProgramLoad, AConvolutionThatWouldNotEndIsRefused) {
  ProgramMaker maker;
  program::Conv2DT conv;
  conv.input = maker.arena(program::DType_UInt8, {1, 1U << 15U, 1U << 14U, 1});
  program::LutT fill;
  fill.input = maker.input(program::DType_UInt8, {1, 1U << 15U, 1U << 14U, 1});
  fill.output = conv.input;
  fill.table = maker.constant(program::DType_UInt8, {256}, std::vector<std::uint8_t>(256, 1));
  maker.step(fill);
  conv.weight = maker.constant(program::DType_Int8, {64, 255, 255, 1},
                               std::vector<std::int8_t>(64 * 255 * 255, 1));
  conv.multiplier = maker.constant(program::DType_Float32, {64}, std::vector<float>(64, 1.0F));
  conv.bias = conv.multiplier;
  conv.pad_top = 127;
  conv.pad_left = 127;
  conv.output = maker.output(program::DType_UInt8, {1, 1U << 15U, 1U << 14U, 64});
  maker.step(conv);
  const Status status = load(maker.payload());
  EXPECT_EQ(status.code(), Code::ResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("elementary operations"));
}

// 3001 steps that read one weight of 4 KiB, each at `weight_of(step)`.
std::vector<std::byte> many_layers(
    const std::function<std::uint32_t(ProgramMaker& maker, std::uint32_t weight, int step)>&
        weight_of) {
  ProgramMaker maker;
  program::Conv2DT conv;
  conv.input = maker.input(program::DType_UInt8, {1, 1, 1, 64});
  const std::uint32_t weight =
      maker.constant(program::DType_Int8, {64, 1, 1, 64}, std::vector<std::int8_t>(8192, 1));
  conv.multiplier = conv.bias =
      maker.constant(program::DType_Float32, {64}, std::vector<float>(64, 1.0F));
  for (int i = 0; i < 3000; ++i) {
    conv.weight = weight_of(maker, weight, i);
    conv.output = maker.arena(program::DType_UInt8, {1, 1, 1, 64});
    maker.step(conv);
  }
  conv.output = maker.output(program::DType_UInt8, {1, 1, 1, 64});
  maker.step(conv);
  return maker.payload();
}

// What they pack they share: they count as one use.
TEST(ProgramLoad, LayersMayShareTheirWeights) {
  const Status status =
      load(many_layers([](ProgramMaker&, std::uint32_t weight, int) { return weight; }));
  EXPECT_TRUE(status.ok()) << status.message();
}

// Many steps that each pack other bytes of one constant: a small file must not become gigabytes.
TEST(ProgramLoad, AConstantCannotBeUsedWithoutEnd) {
  const Status status = load(many_layers([](ProgramMaker& maker, std::uint32_t weight, int step) {
    const std::uint64_t offset = maker.program.tensors[weight]->offset;
    return maker.tensor(program::Storage_Constant, offset + static_cast<std::uint64_t>(step),
                        program::DType_Int8, {64, 1, 1, 64});
  }));
  EXPECT_EQ(status.code(), Code::ResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("bytes of constants more than"));
}

TEST(ProgramLoad, OrdersOfDimensions) {
  const auto loaded_with = [](const std::vector<std::uint8_t>& order) {
    testing::ProgramMaker maker = testing::all_operators_program();
    maker.program.tensors[maker.program.inputs[0]]->dim_order = order;
    const std::vector<std::byte> payload = maker.payload();
    auto loaded = Program::load(payload);
    if (loaded.ok()) {
      EXPECT_EQ(loaded.value()->input_orders()[0], order);
    }
    return loaded.status();
  };
  EXPECT_TRUE(loaded_with({}).ok());
  EXPECT_TRUE(loaded_with({0, 2, 3, 1}).ok());
  for (const std::vector<std::uint8_t>& order :
       {std::vector<std::uint8_t>{0, 1, 2}, {0, 1, 2, 4}, {0, 1, 1, 2}, {0, 1, 2, 3, 4}}) {
    EXPECT_THAT(loaded_with(order).message(), HasSubstr("is not an order of 4 dimensions"));
  }
}

TEST(ProgramLoad, AListOfEndlessOperandsIsRefused) {
  ProgramMaker maker;
  const std::uint32_t x = maker.input(program::DType_UInt8, {1});
  program::ConcatT concat;
  concat.inputs.assign(2'000'000, x);
  concat.output = maker.output(program::DType_UInt8, {2'000'000});
  maker.step(concat);
  EXPECT_THAT(load(maker.payload()).message(), HasSubstr("the steps name more than"));
}

TEST(ProgramLoad, StepsAreDescribed) {
  const testing::ProgramMaker maker = testing::all_operators_program();
  const std::vector<std::byte> payload = maker.payload();
  const auto program = Program::load(payload);
  ASSERT_TRUE(program.ok());
  std::vector<std::string> names;
  for (const StepInfo& step : program.value()->steps()) {
    names.push_back(step.op);
    EXPECT_FALSE(step.kernel.empty());
    EXPECT_FALSE(step.name.empty());
  }
#define ENN_BIND(Table, function) EXPECT_THAT(names, ::testing::Contains(#Table));
#include "runtime/operators.def"
#undef ENN_BIND
  EXPECT_EQ(program.value()->inputs().size(), maker.program.inputs.size());
  EXPECT_EQ(program.value()->outputs().size(), maker.program.outputs.size());
}

}  // namespace
}  // namespace enn

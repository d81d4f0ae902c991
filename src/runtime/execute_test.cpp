// What execute() computes and what it must not do. Every operator's arithmetic has its own tests;
// here the programs are whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "base/cpu_features.hpp"
#include "enn/program.hpp"
#include "runtime/all_operators_program.hpp"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted_allocation(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t bytes) { return counted_allocation(bytes); }
void* operator new[](std::size_t bytes) { return counted_allocation(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

namespace enn {
namespace {

using testing::ProgramMaker;

std::unique_ptr<Program> load(std::span<const std::byte> payload, int threads = 1,
                              std::string isa = {}) {
  auto loaded = Program::load(payload, {.isa = std::move(isa), .max_threads = threads});
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? std::move(loaded).value() : nullptr;
}

std::vector<std::string_view> isa_names_of_this_cpu() {
  std::vector<std::string_view> names = isa_names();
  std::erase_if(names, [](std::string_view name) { return !features_of_isa(name).ok(); });
  return names;
}

std::size_t byte_size(const TensorType& type) {
  return static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
}

// Memory for the inputs (a fixed pattern of moderate floats) and outputs of a program.
struct Buffers {
  explicit Buffers(const Program& program) {
    for (const TensorType& type : program.inputs()) {
      std::vector<std::byte> bytes(byte_size(type));
      for (std::size_t i = 0; i + sizeof(float) <= bytes.size(); i += sizeof(float)) {
        const float value = std::sin(static_cast<float>(i)) * 4.0F;
        std::memcpy(bytes.data() + i, &value, sizeof value);
      }
      inputs.push_back(std::move(bytes));
    }
    for (const TensorType& type : program.outputs()) outputs.emplace_back(byte_size(type));
    for (const auto& bytes : inputs) input_pointers.push_back(bytes.data());
    for (auto& bytes : outputs) output_pointers.push_back(bytes.data());
  }

  std::vector<std::vector<std::byte>> inputs;
  std::vector<std::vector<std::byte>> outputs;
  std::vector<const std::byte*> input_pointers;
  std::vector<std::byte*> output_pointers;
};

std::vector<std::vector<std::byte>> run(Program& program, Parallel& parallel) {
  Buffers buffers(program);
  EXPECT_TRUE(program.execute(buffers.input_pointers, buffers.output_pointers, parallel).ok());
  return buffers.outputs;
}

std::vector<float> as_floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(Execute, AHandComputedProgram) {
  ProgramMaker maker;
  const std::uint32_t x = maker.input(program::DType_Float32, {2, 3});
  const std::uint32_t q = maker.arena(program::DType_UInt8, {3, 2}, 0.5F, 128);
  program::QuantizeT quantize;
  quantize.input = x;
  quantize.output = q;
  quantize.perm = {1, 0};
  quantize.inv_scale = 2.0F;
  quantize.quant_max = 255;
  maker.step(quantize);
  std::vector<std::uint8_t> negate(256);
  for (int i = 0; i < 256; ++i)
    negate[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(255 - i);
  program::LutT lut;
  lut.input = q;
  lut.table = maker.constant(program::DType_UInt8, {256}, negate);
  lut.output = maker.arena(program::DType_UInt8, {3, 2}, 0.25F, 127);
  maker.step(lut);
  program::DequantizeT dequantize;
  dequantize.input = lut.output;
  dequantize.output = maker.output(program::DType_Float32, {3, 2});
  maker.step(dequantize);

  const std::vector<std::byte> payload = maker.payload();
  const std::unique_ptr<Program> program = load(payload);
  ASSERT_NE(program, nullptr);
  ASSERT_EQ(program->inputs().size(), 1U);
  EXPECT_EQ(program->inputs()[0], (TensorType{DType::Float32, {2, 3}}));
  EXPECT_EQ(program->outputs()[0], (TensorType{DType::Float32, {3, 2}}));
  EXPECT_EQ(program->steps()[1].op, "Lut");

  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> in{1.0F, 0.75F, -0.25F, 1000.0F, -1000.0F, nan};
  std::vector<float> out(6);
  const std::byte* const inputs[] = {reinterpret_cast<const std::byte*>(in.data())};
  std::byte* const outputs[] = {reinterpret_cast<std::byte*>(out.data())};
  SerialParallel serial;
  ASSERT_TRUE(program->execute(inputs, outputs, serial).ok());
  // q = 130, 255 | 128 + rint(1.5) = 130, 0 | 128 + rint(-0.5) = 128, 0; then (255 - q - 127) / 4.
  EXPECT_EQ(out, (std::vector<float>{-0.5F, -31.75F, -0.5F, 32.0F, 0.0F, 32.0F}));
}

TEST(Execute, AllocatesNothing) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  const std::unique_ptr<Program> program = load(payload, 2);
  ASSERT_NE(program, nullptr);
  Buffers buffers(*program);
  const std::unique_ptr<Parallel> pool = make_thread_pool(2);
  const std::size_t before = allocations.load();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(program->execute(buffers.input_pointers, buffers.output_pointers, *pool).ok());
  }
  EXPECT_EQ(allocations.load(), before);
}

TEST(Execute, EveryThreadCountIsaAndAddressGivesTheSameBytes) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  SerialParallel serial;
  const std::unique_ptr<Program> reference = load(payload, 1, "reference");
  ASSERT_NE(reference, nullptr);
  const auto expected = run(*reference, serial);
  // The pattern must reach the outputs, or equality would say little.
  for (const auto& bytes : expected) {
    EXPECT_NE(bytes, std::vector<std::byte>(bytes.size(), bytes.front()));
  }
  for (const std::string_view isa : isa_names_of_this_cpu()) {
    for (const int threads : {1, 2, 3}) {
      const std::unique_ptr<Parallel> pool = make_thread_pool(threads);
      const std::unique_ptr<Program> program = load(payload, threads, std::string(isa));
      ASSERT_NE(program, nullptr);
      EXPECT_EQ(program->isa(), isa);
      for (int i = 0; i < 20; ++i) EXPECT_EQ(run(*program, *pool), expected) << isa << threads;
    }
  }
  for (std::size_t shift = 1; shift < 64; ++shift) {
    std::vector<std::byte> moved(payload.size() + shift + 64);
    std::memcpy(moved.data() + shift, payload.data(), payload.size());
    const std::unique_ptr<Program> program = load({moved.data() + shift, payload.size()});
    ASSERT_NE(program, nullptr);
    if (program->owns_payload()) moved = {};  // nothing of it may be read any more
    EXPECT_EQ(run(*program, serial), expected) << "shift " << shift;
  }
}

// A pool that claims more threads than the program was loaded for.
class BoastfulParallel final : public Parallel {
 public:
  [[nodiscard]] int thread_count() const noexcept override { return 1000; }
  void run(int tasks, TaskRef task) noexcept override {
    most_tasks = std::max(most_tasks, tasks);
    for (int i = tasks; i-- > 0;) task(i);
  }
  int most_tasks = 0;
};

TEST(Execute, UsesNoMoreThreadsThanItWasLoadedFor) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  SerialParallel serial;
  BoastfulParallel boastful;
  const std::unique_ptr<Program> program = load(payload, 2);
  ASSERT_NE(program, nullptr);
  EXPECT_EQ(run(*program, boastful), run(*program, serial));
}

TEST(Execute, AnIndexOutOfRangeEndsTheRunAndIsNamed) {
  ProgramMaker maker;
  program::GatherT gather;
  gather.input = maker.input(program::DType_Float32, {3});
  gather.output = maker.output(program::DType_Float32, {2});
  gather.strides = {0};
  gather.indices = {maker.input(program::DType_Int64, {2})};
  gather.sizes = {3};
  gather.steps = {1};
  gather.index_strides = {1};
  maker.step(gather, "chosen");
  const std::vector<std::byte> payload = maker.payload();
  const std::unique_ptr<Program> program = load(payload);
  ASSERT_NE(program, nullptr);
  const std::vector<float> in{1.0F, 2.0F, 3.0F};
  std::vector<std::int64_t> indices{0, 3};
  std::vector<float> out(2);
  const std::byte* const inputs[] = {reinterpret_cast<const std::byte*>(in.data()),
                                     reinterpret_cast<const std::byte*>(indices.data())};
  std::byte* const outputs[] = {reinterpret_cast<std::byte*>(out.data())};
  SerialParallel serial;
  const Status status = program->execute(inputs, outputs, serial);
  EXPECT_EQ(status.code(), Code::InvalidArgument);
  EXPECT_EQ(status.message(),
            "step 0 (Gather 'chosen'): index 3 is out of range for a dimension of size 3");
  indices = {-1, 1};
  ASSERT_TRUE(program->execute(inputs, outputs, serial).ok());
  EXPECT_EQ(out, (std::vector<float>{3.0F, 2.0F}));
}

TEST(Execute, RunsDoNotDependOnEarlierOnes) {
  const std::vector<std::byte> payload = testing::all_operators_program().payload();
  const std::unique_ptr<Program> program = load(payload);
  ASSERT_NE(program, nullptr);
  SerialParallel serial;
  const auto first = run(*program, serial);
  Buffers other(*program);
  for (auto& bytes : other.inputs) std::memset(bytes.data(), 0xFF, bytes.size());  // NaN
  ASSERT_TRUE(program->execute(other.input_pointers, other.output_pointers, serial).ok());
  EXPECT_NE(other.outputs, first);
  EXPECT_EQ(run(*program, serial), first);
}

TEST(Execute, TheFloatHalfEqualsAnIndependentComputation) {
  ProgramMaker maker;
  testing::add_float_half(maker);
  const std::vector<std::byte> payload = maker.payload();
  const std::unique_ptr<Program> program = load(payload);
  ASSERT_NE(program, nullptr);
  SerialParallel serial;
  const std::vector<float> actual = as_floats(run(*program, serial)[0]);

  const Buffers buffers(*program);
  const std::vector<float> x = as_floats(buffers.inputs[0]);
  const std::vector<float> weight = testing::internal::floats(8, 0.1F);
  const std::vector<float> bias = testing::internal::floats(2, 0.1F);
  const auto gated = [&](std::size_t row, std::size_t column, std::size_t k) {
    double sum = static_cast<double>(bias[k]);
    for (std::size_t c = 0; c < 4; ++c) {
      sum += static_cast<double>(x[(row * 8 + column) * 4 + c]) *
             static_cast<double>(weight[k * 4 + c]);
    }
    sum = std::clamp(sum, -6.0, 6.0);
    return sum / (1.0 + std::exp(-sum));
  };
  ASSERT_EQ(actual.size(), 32U);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::size_t k = i % 2;
    const std::size_t column = i / 2 % 4 * 2;
    const std::size_t row = i / 8 * 2;
    const double expected = (gated(row, column, k) + gated(row, column + 1, k) +
                             gated(row + 1, column, k) + gated(row + 1, column + 1, k)) /
                            4.0;
    EXPECT_NEAR(static_cast<double>(actual[i]), expected, 1e-5) << i;
  }
}

}  // namespace
}  // namespace enn

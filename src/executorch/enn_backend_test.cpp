// The delegate as the runtime sees it: found by name, given bytes and EValues.
#include <executorch/extension/tensor/tensor.h>
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/platform.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/failing_memory.hpp"
#include "enn/program.hpp"
#include "runtime/all_operators_program.hpp"

namespace enn {
namespace {

std::string& last_message() {
  static std::string message;
  message.reserve(4096);  // logging itself needs no memory
  return message;
}

// Takes the place of the runtime's log output in this program.
void keep_errors(et_timestamp_t /*timestamp*/, et_pal_log_level_t level, const char* /*filename*/,
                 const char* /*function*/, std::size_t /*line*/, const char* message,
                 std::size_t length) {
  if (level == kError) last_message().assign(message, length);
}

using executorch::aten::ScalarType;
using executorch::extension::from_blob;
using executorch::extension::TensorPtr;
using executorch::extension::threadpool::NoThreadPoolGuard;
using executorch::runtime::BackendExecutionContext;
using executorch::runtime::BackendInitContext;
using executorch::runtime::BackendInterface;
using executorch::runtime::DelegateHandle;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::FreeableBuffer;
using ::testing::HasSubstr;

// The float half: float32[1, 8, 8, 4] -> float32[1, 4, 4, 2].
class EnnBackendTest : public ::testing::Test {
 protected:
  EnnBackendTest() {
    testing::add_float_half(maker_);
    payload_ = maker_.payload();
    for (std::size_t i = 0; i < in_.size(); ++i) in_[i] = std::sin(static_cast<float>(i)) * 4.0F;
  }
  ~EnnBackendTest() override {
    if (handle_ != nullptr) backend_->destroy(handle_);
  }

  static void SetUpTestSuite() {
    ASSERT_TRUE(executorch::runtime::register_pal(
        executorch::runtime::PalImpl::create(&keep_errors, __FILE__)));
  }

  void SetUp() override {
    ASSERT_NE(backend_, nullptr);
    ASSERT_TRUE(backend_->is_available());
    last_message().clear();
  }

  Error init(std::span<const std::byte> bytes) {
    BackendInitContext context(nullptr);
    FreeableBuffer buffer(bytes.data(), bytes.size(), nullptr);
    const auto handle = backend_->init(context, &buffer, {});
    if (handle.ok()) handle_ = handle.get();
    return handle.error();
  }

  Error execute(std::vector<EValue> values) {
    std::vector<EValue*> pointers;
    for (EValue& value : values) pointers.push_back(&value);
    BackendExecutionContext context;
    return backend_->execute(context, handle_, {pointers.data(), pointers.size()});
  }

  // Expects a refusal of these arguments with a sentence that has `words` in it.
  void expect_refusal(std::vector<EValue> values, const std::string& words) {
    last_message().clear();
    EXPECT_EQ(execute(std::move(values)), Error::InvalidArgument);
    EXPECT_THAT(last_message(), HasSubstr(words));
    EXPECT_THAT(last_message(), HasSubstr("EnnBackend: "));
  }

  BackendInterface* backend_ = executorch::runtime::get_backend_class("EnnBackend");
  DelegateHandle* handle_ = nullptr;
  testing::ProgramMaker maker_;
  std::vector<std::byte> payload_;
  std::vector<float> in_ = std::vector<float>(256);
  std::vector<float> out_ = std::vector<float>(32);
  TensorPtr input_ = from_blob(in_.data(), {1, 8, 8, 4});
  TensorPtr output_ = from_blob(out_.data(), {1, 4, 4, 2});
};

TEST_F(EnnBackendTest, ComputesWhatTheEngineComputes) {
  ASSERT_EQ(init(payload_), Error::Ok);
  ASSERT_EQ(execute({*input_, *output_}), Error::Ok);
  const auto program = Program::load(payload_);
  ASSERT_TRUE(program.ok());
  std::vector<float> expected(32);
  const std::byte* const inputs[] = {reinterpret_cast<const std::byte*>(in_.data())};
  std::byte* const outputs[] = {reinterpret_cast<std::byte*>(expected.data())};
  SerialParallel serial;
  ASSERT_TRUE(program.value()->execute(inputs, outputs, serial).ok());
  EXPECT_EQ(out_, expected);
  EXPECT_NE(out_, std::vector<float>(32));

  std::fill(out_.begin(), out_.end(), 0.0F);
  const NoThreadPoolGuard guard;
  ASSERT_EQ(execute({*input_, *output_}), Error::Ok);
  EXPECT_EQ(out_, expected);
}

TEST_F(EnnBackendTest, ReleasesBytesItDoesNotNeed) {
  for (const std::size_t shift : {0U, 1U}) {
    std::vector<std::byte> moved(payload_.size() + 64 + shift);
    const std::size_t aligned = (64 - reinterpret_cast<std::uintptr_t>(moved.data()) % 64) % 64;
    std::copy(payload_.begin(), payload_.end(),
              moved.begin() + static_cast<std::ptrdiff_t>(aligned + shift));
    bool freed = false;
    FreeableBuffer buffer(
        moved.data() + aligned + shift, payload_.size(),
        [](void* flag, void*, std::size_t) { *static_cast<bool*>(flag) = true; }, &freed);
    BackendInitContext context(nullptr);
    const auto handle = backend_->init(context, &buffer, {});
    ASSERT_TRUE(handle.ok());
    EXPECT_EQ(freed, shift != 0) << "shift " << shift;
    backend_->destroy(handle.get());
  }
}

TEST_F(EnnBackendTest, RefusesDamagedBytes) {
  payload_[100] ^= std::byte{1};
  EXPECT_EQ(init(payload_), Error::DelegateInvalidCompatibility);
  EXPECT_THAT(last_message(), HasSubstr("damaged"));
  EXPECT_EQ(init(std::span(payload_).first(10)), Error::DelegateInvalidCompatibility);
  EXPECT_THAT(last_message(), HasSubstr("cut off"));
}

TEST_F(EnnBackendTest, RefusesOtherArguments) {
  ASSERT_EQ(init(payload_), Error::Ok);
  const std::vector<float> before = out_;
  expect_refusal({*input_}, "takes 1 inputs and 1 outputs, but was called with 1 arguments");
  expect_refusal({*input_, *input_, *output_}, "called with 3 arguments");
  expect_refusal({EValue(2.0), *output_}, "input 0 is not a tensor");
  expect_refusal({*input_, EValue()}, "output 0 is not a tensor");

  std::vector<std::int32_t> integers(256);
  expect_refusal({*from_blob(integers.data(), {1, 8, 8, 4}, ScalarType::Int), *output_},
                 "input 0 is int32[1, 8, 8, 4]; the program expects float32[1, 8, 8, 4]");
  expect_refusal({*from_blob(in_.data(), {1, 8, 4, 8}), *output_},
                 "input 0 is float32[1, 8, 4, 8]");
  expect_refusal({*from_blob(in_.data(), {8, 8, 4}), *output_}, "input 0 is float32[8, 8, 4]");
  expect_refusal({*input_, *from_blob(out_.data(), {1, 4, 2, 4})},
                 "output 0 is float32[1, 4, 2, 4]");
  expect_refusal({*from_blob(nullptr, {1, 8, 8, 4}), *output_}, "input 0 has no memory");
  EXPECT_EQ(out_, before);
}

// The same memory under the sizes of a channels_last tensor.
TEST_F(EnnBackendTest, TakesTensorsInTheOrderOfTheProgram) {
  ASSERT_EQ(init(payload_), Error::Ok);
  ASSERT_EQ(execute({*input_, *output_}), Error::Ok);
  const std::vector<float> expected = out_;
  backend_->destroy(handle_);
  const std::vector<std::uint8_t> order{0, 2, 3, 1};
  maker_.program.tensors[maker_.program.inputs[0]]->dim_order = order;
  maker_.program.tensors[maker_.program.outputs[0]]->dim_order = order;
  ASSERT_EQ(init(maker_.payload()), Error::Ok);
  std::fill(out_.begin(), out_.end(), 0.0F);
  const TensorPtr input = executorch::extension::make_tensor_ptr(
      {1, 4, 8, 8}, in_.data(), {0, 2, 3, 1}, {256, 1, 32, 4}, ScalarType::Float);
  const TensorPtr output = executorch::extension::make_tensor_ptr(
      {1, 2, 4, 4}, out_.data(), {0, 2, 3, 1}, {32, 1, 8, 2}, ScalarType::Float);
  ASSERT_EQ(execute({*input, *output}), Error::Ok);
  EXPECT_EQ(out_, expected);
  expect_refusal({*from_blob(in_.data(), {1, 4, 8, 8}), *output},
                 "exported for one with the dimensions [0, 2, 3, 1] in memory");
  expect_refusal({*input_, *output}, "the program expects float32[1, 4, 8, 8]");
}

TEST_F(EnnBackendTest, RefusesTensorsThatAreNotContiguous) {
  ASSERT_EQ(init(payload_), Error::Ok);
  // channels_last: sizes in the order 0, 2, 3, 1.
  const TensorPtr channels_last = executorch::extension::make_tensor_ptr(
      {1, 8, 8, 4}, in_.data(), {0, 2, 3, 1}, {256, 1, 32, 8}, ScalarType::Float);
  expect_refusal({*channels_last, *output_}, "pass it through .contiguous()");
  const TensorPtr transposed = executorch::extension::make_tensor_ptr(
      {1, 8, 8, 4}, in_.data(), {0, 2, 1, 3}, {256, 4, 32, 1}, ScalarType::Float);
  expect_refusal({*transposed, *output_}, "input 0 of shape [1, 8, 8, 4] is not contiguous");
  const TensorPtr output = executorch::extension::make_tensor_ptr(
      {1, 4, 4, 2}, out_.data(), {0, 3, 1, 2}, {32, 4, 1, 16}, ScalarType::Float);
  expect_refusal({*input_, *output}, "output 0 of shape [1, 4, 4, 2] is not contiguous");
}

// Each allocation fails in turn, of a load and of a refusal, which needs memory for its sentence.
TEST_F(EnnBackendTest, ExhaustedMemoryIsAnError) {
  bool failed = true;
  for (std::int64_t count = 0; failed; ++count) {
    ASSERT_LT(count, 100'000);
    Error result = Error::Ok;
    {
      const testing::FailingMemory memory(count, testing::kNever);
      BackendInitContext context(nullptr);
      FreeableBuffer buffer(payload_.data(), payload_.size(), nullptr);
      const auto handle = backend_->init(context, &buffer, {});
      result = handle.error();
      failed = memory.failed();
      if (handle.ok()) handle_ = handle.get();
    }
    ASSERT_EQ(result, failed ? Error::DelegateMemoryAllocationFailed : Error::Ok) << count;
  }
  std::vector<EValue*> none;
  BackendExecutionContext context;
  for (const std::int64_t count : {0, 1, 2, 3, 4}) {
    const testing::FailingMemory memory(count, testing::kNever);
    const Error result = backend_->execute(context, handle_, {none.data(), none.size()});
    ASSERT_TRUE(result == Error::InvalidArgument ||
                result == Error::DelegateMemoryAllocationFailed);
  }
}

TEST_F(EnnBackendTest, RefusesAnOutputOverAnInput) {
  ASSERT_EQ(init(payload_), Error::Ok);
  expect_refusal({*input_, *from_blob(in_.data() + 255 - 31, {1, 4, 4, 2})},
                 "the memory of output 0 overlaps that of input 0");
}

}  // namespace
}  // namespace enn

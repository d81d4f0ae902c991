#include "untrusted_run.hpp"

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "enn/program.hpp"

namespace enn::testing {
namespace {

std::size_t byte_size(const TensorType& type) {
  return static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
}

// Blocks of exactly the sizes of `types`, each an allocation of its own so that a sanitizer sees
// its ends. Nothing when they exceed the memory limit together.
std::vector<std::unique_ptr<std::byte[]>> blocks(std::span<const TensorType> types) {
  std::size_t total = 0;
  for (const TensorType& type : types) total += byte_size(type);
  std::vector<std::unique_ptr<std::byte[]>> out;
  if (total > kMemoryLimit) return out;
  for (const TensorType& type : types)
    out.push_back(std::make_unique<std::byte[]>(byte_size(type)));
  return out;
}

// Reads all that it is shown.
class Reader final : public ExecutionListener {
 public:
  void on_tap(std::uint32_t /*tap*/, std::span<const float> values,
              Parallel& /*parallel*/) noexcept override {
    for (const float value : values) sum_ = sum_ + value;
  }

 private:
  volatile float sum_ = 0.0F;
};

}  // namespace

Status load_and_run(std::span<const std::byte> payload, unsigned fill, Parallel& parallel) {
  LoadOptions options;
  options.max_threads = parallel.thread_count();
  options.max_memory_bytes = kMemoryLimit;
  options.max_operations = std::uint64_t{1} << 21U;
  ENN_ASSIGN(const std::unique_ptr<Program> program, Program::load(payload, options));

  const auto inputs = blocks(program->inputs());
  const auto outputs = blocks(program->outputs());
  if (inputs.size() != program->inputs().size() || outputs.empty()) return {};
  std::minstd_rand random(fill);
  std::vector<const std::byte*> input_pointers;
  std::vector<std::byte*> output_pointers;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t bytes = byte_size(program->inputs()[i]);
    for (std::size_t b = 0; b < bytes; ++b) inputs[i][b] = static_cast<std::byte>(random() >> 7U);
    input_pointers.push_back(inputs[i].get());
  }
  for (const auto& block : outputs) output_pointers.push_back(block.get());
  Reader reader;
  for (ExecutionListener* listener :
       {static_cast<ExecutionListener*>(nullptr), static_cast<ExecutionListener*>(&reader)}) {
    // An index that is out of range is as good an end as any.
    [[maybe_unused]] const Status ran =
        program->execute(input_pointers, output_pointers, parallel, listener);
  }
  return {};
}

}  // namespace enn::testing

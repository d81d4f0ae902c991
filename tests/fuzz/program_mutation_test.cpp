// Programs damaged in tens of thousands of ways, with header and checksums right: each is refused
// with a sentence, or runs inside its memory. ENN_FUZZ_SEED and ENN_FUZZ_MUTATIONS choose another
// run.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <map>
#include <string>

#include "environment.hpp"
#include "memory_watch.hpp"
#include "mutator.hpp"
#include "runtime/all_operators_program.hpp"
#include "untrusted_run.hpp"

namespace enn {
namespace {

// Every field is present, so that every one can be changed.
std::vector<std::byte> body_of(const program::ProgramT& program) {
  flatbuffers::FlatBufferBuilder builder;
  builder.ForceDefaults(true);
  builder.Finish(program::Program::Pack(builder, &program), program::ProgramIdentifier());
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

TEST(ProgramMutation, EveryOneIsRefusedOrRunsWithinItsBounds) {
  const auto [seed, mutations] = testing::fuzz_run(20260823, 40'000);

  testing::ProgramMaker quantized;
  testing::add_quantized_half(quantized);
  testing::ProgramMaker floating;
  testing::add_float_half(floating);
  const std::array bodies = {body_of(testing::all_operators_program().program),
                             body_of(quantized.program), body_of(floating.program)};
  const std::array pools = {make_thread_pool(1), make_thread_pool(2)};
  for (const auto& body : bodies) {
    const Status status = testing::load_and_run(testing::payload_of(body), 1, *pools[0]);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  testing::Mutator mutator(seed);
  std::map<Code, std::uint64_t> outcomes;
  for (std::uint64_t i = 0; i < mutations; ++i) {
    SCOPED_TRACE(str("mutation ", i, " of seed ", seed));
    const auto body = mutator.mutate(bodies[i % bodies.size()]);
    const std::vector<std::byte> payload = testing::payload_of(body);
    testing::reset_peak_memory();
    const std::size_t before = testing::peak_memory();
    const Status status =
        testing::load_and_run(payload, static_cast<unsigned>(i), *pools[i % 8 == 0 ? 1 : 0]);
    ++outcomes[status.code()];
    // Buffers of the caller, and as much again for what the loader makes of them.
    ASSERT_LE(testing::peak_memory() - before, 4 * testing::kMemoryLimit) << status.message();
    ASSERT_TRUE(status.ok() || testing::is_printable(status.message())) << status.message();
  }
  for (const auto& [code, count] : outcomes) {
    std::cout << (code == Code::Ok ? "ran" : to_string(code)) << ": " << count << std::endl;
  }
  // A test that refuses all, or takes all, tests little.
  EXPECT_GT(outcomes[Code::Ok], mutations / 20);
  EXPECT_GT(outcomes[Code::InvalidProgram], mutations / 4);
  EXPECT_EQ(outcomes[Code::Internal], 0U);
}

}  // namespace
}  // namespace enn

// Archives of torch.export damaged in tens of thousands of ways: each is refused with a sentence,
// or read, decomposed and written again. ENN_FUZZ_SEED and ENN_FUZZ_MUTATIONS choose another run.
#include <gtest/gtest.h>

#include <array>
#include <iostream>
#include <map>
#include <string>

#include "archive/exported_program.hpp"
#include "archive/testing.hpp"
#include "environment.hpp"
#include "memory_watch.hpp"
#include "mutator.hpp"

namespace enn {
namespace {

// Constants may take 64 MiB whatever the archive's size; besides, only what the JSON needs.
constexpr std::size_t kMemoryLimit = std::size_t{160} << 20U;

Status read_and_write(std::span<const std::byte> archive) {
  ENN_ASSIGN(const ExportedProgram program, ExportedProgram::parse(archive));
  ENN_ASSIGN(const ExportedProgram decomposed, transform_for_annotation(program));
  return with_graph(decomposed, decomposed.graph()).serialize().status();
}

TEST(ArchiveMutation, EveryOneIsRefusedOrRead) {
  const auto [seed, mutations] = testing::fuzz_run(20260823, 24'000);

  const std::array archives{testing::small_archive(), testing::writing_archive()};
  std::vector<std::vector<std::byte>> files;
  for (const testing::Entries& entries : archives) {
    files.push_back(testing::zip_of(entries));
    ASSERT_TRUE(read_and_write(files.back()).ok()) << read_and_write(files.back()).message();
  }

  testing::Mutator mutator(seed);
  std::map<Code, std::uint64_t> outcomes;
  for (std::uint64_t i = 0; i < mutations; ++i) {
    SCOPED_TRACE(str("mutation ", i, " of seed ", seed));
    const testing::Entries& entries = archives[i % archives.size()];
    std::vector<std::byte> archive;
    if (mutator.below(4) == 0) {
      archive = mutator.mutate_bytes(files[i % archives.size()]);
    } else {
      // With checksums right, so that what is inside is looked at.
      testing::Entries changed = entries;
      std::string& text =
          changed.at(mutator.below(4) == 0 ? "m/data/weights/model_weights_config.json"
                                           : "m/models/model.json");
      text = mutator.mutate_json(text);
      archive = testing::zip_of(changed);
    }
    testing::reset_peak_memory();
    const std::size_t before = testing::peak_memory();
    const Status status = read_and_write(archive);
    ++outcomes[status.code()];
    ASSERT_LE(testing::peak_memory() - before, kMemoryLimit) << status.message();
    ASSERT_TRUE(status.ok() || testing::is_printable(status.message())) << status.message();
  }
  for (const auto& [code, count] : outcomes) {
    std::cout << (code == Code::Ok ? "read" : to_string(code)) << ": " << count << std::endl;
  }
  // A test that refuses all, or takes all, tests little.
  EXPECT_GT(outcomes[Code::Ok], mutations / 20);
  EXPECT_GT(outcomes[Code::InvalidArgument], mutations / 4);
  EXPECT_EQ(outcomes[Code::Internal], 0U);
}

}  // namespace
}  // namespace enn

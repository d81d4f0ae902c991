// Each pass against pairs of text files: tests/golden/<pass>/<case>.in.txt -> .out.txt.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "compiler/passes/passes.hpp"

namespace enn {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

const std::map<std::string, Status (*)(Graph&)>& passes() {
  static const std::map<std::string, Status (*)(Graph&)> table{
      {"widen_float16", &widen_float16},
      {"promote_operands", &promote_operands},
      {"erase_identities", &erase_identities},
      {"fold_constants", &fold_constants},
      {"fold_batch_norm", &fold_batch_norm},
      {"fuse_activations", &fuse_activations},
      {"recognize_functions", &recognize_functions},
      {"fold_qdq", &fold_qdq},
      {"assign_layouts", &assign_layouts},
      {"arrange_reductions", &arrange_reductions},
      {"widen_images", &widen_images},
      {"sink_reshapes", &sink_reshapes},
      {"rewrite_transposed_convolution", &rewrite_transposed_convolution},
  };
  return table;
}

std::vector<fs::path> cases() {
  std::vector<fs::path> found;
  for (const auto& [pass, run] : passes()) {
    if (!fs::exists(fs::path(ENN_GOLDEN_DIR) / pass)) continue;
    for (const auto& entry : fs::directory_iterator(fs::path(ENN_GOLDEN_DIR) / pass)) {
      if (entry.path().string().ends_with(".in.txt")) found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

class GoldenTest : public testing::TestWithParam<fs::path> {};

TEST_P(GoldenTest, GivesTheExpectedGraph) {
  const fs::path input = GetParam();
  std::string output = input.string();
  output.replace(output.rfind(".in.txt"), 7, ".out.txt");
  auto graph = parse(contents(input));
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  ASSERT_EQ(verify(graph.value()).message(), "");
  const Status status = passes().at(input.parent_path().filename().string())(graph.value());
  ASSERT_EQ(status.message(), "");
  EXPECT_EQ(verify(graph.value()).message(), "");
  graph.value().erase_unused();
  EXPECT_EQ(print(graph.value()), contents(output)) << output;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(cases()), [](const auto& tested) {
  const std::string stem = tested.param.filename().string();
  return tested.param.parent_path().filename().string() + "_" + stem.substr(0, stem.find('.'));
});

}  // namespace
}  // namespace enn

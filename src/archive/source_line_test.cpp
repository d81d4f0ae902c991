#include "archive/source_line.hpp"

#include <gtest/gtest.h>

namespace enn {
namespace {

constexpr const char* kModel = "  File \"/models/net.py\", line 12, in forward\n    return f(x)\n";
constexpr const char* kTorch =
    "  File \"/usr/lib/python3/dist-packages/torch/nn/modules/conv.py\", line 565, in forward\n";
constexpr const char* kVision =
    "  File \"/usr/lib/python3/dist-packages/torchvision/models/resnet.py\", line 92, in forward\n";
constexpr const char* kGenerated = "  File \"<eval_with_key>.7\", line 3, in forward\n";

TEST(SourceLine, IsTheInnermostOneThatIsNotTorchs) {
  EXPECT_EQ(source_line(std::string(kModel) + kTorch + kGenerated), "/models/net.py:12");
  EXPECT_EQ(source_line(std::string(kModel) + kVision),
            "/usr/lib/python3/dist-packages/torchvision/models/resnet.py:92");
  EXPECT_EQ(source_line(kTorch), "/usr/lib/python3/dist-packages/torch/nn/modules/conv.py:565");
}

TEST(SourceLine, IsEmptyWhereThereIsNone) {
  for (const char* trace : {"", "no frame", "File \"", "File \"a", "File \"a\"",
                            "File \"a\", line ", "File \"\", line 1", "File \"a\", line x"}) {
    EXPECT_EQ(source_line(trace), "") << trace;
  }
}

TEST(SourceLine, IsShortAndPrintable) {
  const std::string longest = "File \"/" + std::string(500, 'a') + "\n\x80.py\", line 7";
  const std::string line = source_line(longest);
  EXPECT_EQ(line.size(), 256U);
  EXPECT_TRUE(line.ends_with("aa??.py:7")) << line;
}

}  // namespace
}  // namespace enn

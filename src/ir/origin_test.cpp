#include "ir/origin.hpp"

#include <gtest/gtest.h>

namespace enn {
namespace {

Origin origin_of(std::string source) {
  return {std::move(source),
          {{"", "shop.models.net.Net"},
           {"features", "torch.nn.modules.container.Sequential"},
           {"features.0", "shop.models.blocks.Outer.Block"},
           {"features.0.conv", "torch.nn.modules.conv.Conv2d"}}};
}

TEST(Origin, PatternsNameModulesByPathAndClass) {
  const Origin origin = origin_of("");
  for (const char* const pattern : {"features", "features.0", "features.0.conv", "features.?.conv",
                                    "*.conv", "torch.nn.modules.conv.Conv2d", "torch.nn.Conv2d",
                                    "torch.nn.Conv*", "shop.models.net.Net", "*.Block"}) {
    EXPECT_TRUE(in_module(origin, pattern)) << pattern;
  }
  for (const char* const pattern :
       {"conv", "features.0.con", "features.1*", "torch.nn.Linear", "Conv2d", "shop"}) {
    EXPECT_FALSE(in_module(origin, pattern)) << pattern;
  }
  EXPECT_FALSE(in_module({}, "*"));
  EXPECT_EQ(module_path(origin), "features.0.conv");
  EXPECT_EQ(module_path({}), "");
}

TEST(Origin, SourceLinesNameNoFolderOfAMachine) {
  const auto portable = [](std::string source) { return portable_source(origin_of(source)); };
  EXPECT_EQ(portable("/a/src/shop/models/blocks.py:12"), "shop/models/blocks.py:12");
  EXPECT_EQ(portable("/b/shop/models/net.py:3"), "shop/models/net.py:3");
  EXPECT_EQ(portable("shop/models/net.py:3"), "shop/models/net.py:3");
  EXPECT_EQ(portable("/b/shop/models/net/__init__.py:3"), "shop/models/net/__init__.py:3");
  // Not the module of any of the classes.
  EXPECT_EQ(portable("/b/workshop/models/net.py:3"), "net.py:3");
  EXPECT_EQ(portable("/b/helpers.py:4"), "helpers.py:4");
  EXPECT_EQ(portable("/usr/lib/python3/dist-packages/torchvision/ops/misc.py:5"),
            "torchvision/ops/misc.py:5");
  EXPECT_EQ(portable("C:\\work\\net.py:6"), "net.py:6");
  EXPECT_EQ(portable(""), "");
}

TEST(Origin, PathsAreWrittenAsUsersWriteThem) {
  EXPECT_EQ(plain_module_path("L['self'].features.0"), "features.0");
  EXPECT_EQ(plain_module_path("L['self']"), "");
  EXPECT_EQ(plain_module_path("head@1.fc@12"), "head.fc");
  EXPECT_EQ(plain_module_path("features.0"), "features.0");
}

}  // namespace
}  // namespace enn

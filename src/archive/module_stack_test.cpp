#include "archive/module_stack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ModuleStack, PathsAndClasses) {
  EXPECT_THAT(module_calls(",,net.Net;L__self___features,features,torch.nn.modules.container."
                           "Sequential;L__self___features_0,features.0,torch.nn.modules.conv."
                           "Conv2d"),
              ElementsAre(ModuleCall{"", "net.Net"},
                          ModuleCall{"features", "torch.nn.modules.container.Sequential"},
                          ModuleCall{"features.0", "torch.nn.modules.conv.Conv2d"}));
  // Commas in brackets part nothing; what the exporter adds to a path is taken away.
  EXPECT_THAT(module_calls("a,blocks.slice(0, 2, None),net.List;b,L['self'].head@1,net.Head"),
              ElementsAre(ModuleCall{"blocks.slice(0, 2, None)", "net.List"},
                          ModuleCall{"head", "net.Head"}));
}

TEST(ModuleStack, WhatIsNotOfTheFormIsLeftOut) {
  EXPECT_THAT(module_calls(""), IsEmpty());
  EXPECT_THAT(module_calls(";;a;a,b;a,b,c,d;((((;)))),,"), IsEmpty());
  EXPECT_THAT(module_calls("k,\x1b(2J),\n"), ElementsAre(ModuleCall{"?(2J)", "?"}));
}

}  // namespace
}  // namespace enn

#include "ir/explanation.hpp"

#include <gtest/gtest.h>

#include <array>

namespace enn {
namespace {

std::array<Explanation, 2> rows() {
  return {Explanation{.kind = "node",
                      .name = "conv",
                      .operator_name = "aten.conv2d.default",
                      .source = "net.py:7",
                      .module_path = "features.0",
                      .decision = "quantized",
                      .operands = {{"x", {{"dtype", "int8"}, {"axis", "0"}}}},
                      .result = {},
                      .details = {{"fused with", "relu"}},
                      .reason = "",
                      .advice = ""},
          Explanation{.kind = "input",
                      .name = "a\"b\\\n\xff",
                      .operator_name = "",
                      .source = "",
                      .module_path = "",
                      .decision = "unchanged",
                      .operands = {},
                      .result = {},
                      .details = {},
                      .reason = "it is int64",
                      .advice = "cast it"}};
}

TEST(Explanation, IsWrittenAsJson) {
  EXPECT_EQ(to_json(rows()),
            "[\n"
            R"({"kind": "node", "name": "conv", "operator": "aten.conv2d.default", )"
            R"("source": "net.py:7", "module": "features.0", "decision": "quantized", )"
            R"("operands": {"x": {"dtype": "int8", "axis": "0"}}, )"
            R"("details": {"fused with": "relu"}},)"
            "\n"
            R"({"kind": "input", "name": "a\"b\\\u000a\u00ff", "decision": "unchanged", )"
            R"("reason": "it is int64", "advice": "cast it"})"
            "\n]\n");
  EXPECT_EQ(to_json({}), "[\n]\n");
}

TEST(Explanation, IsWrittenAsATable) {
  EXPECT_EQ(to_table(std::span(rows().data(), 1)),
            "name  operator             decision   how  source\n"
            "conv  aten.conv2d.default  quantized  x: int8, axis 0; fused with relu  net.py:7 in "
            "features.0\n");
}

}  // namespace
}  // namespace enn

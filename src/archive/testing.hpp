// A small archive for tests: what torch.export.save would write, by hand.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "archive/zip.hpp"

namespace enn::testing {

// Contents of the entries by name; zip_of() puts them into a file.
using Entries = std::map<std::string, std::string>;

inline std::vector<std::byte> zip_of(const Entries& entries) {
  ZipWriter writer;
  for (const auto& [name, text] : entries) writer.add(name, std::as_bytes(std::span(text)));
  return std::move(writer).finish().value();
}

inline nlohmann::json size_of_batch() {
  return {{"as_expr", {{"expr_str", "Symbol('s1', integer=True)"}, {"hint", nullptr}}}};
}

inline nlohmann::json meta_of(int dtype, const std::vector<nlohmann::json>& sizes,
                              const std::vector<int>& strides) {
  nlohmann::json stride_list = nlohmann::json::array();
  for (const int stride : strides) stride_list.push_back({{"as_int", stride}});
  return {{"dtype", dtype},
          {"sizes", sizes},
          {"requires_grad", false},
          {"device", {{"type", "cpu"}, {"index", nullptr}}},
          {"strides", stride_list},
          {"storage_offset", {{"as_int", 0}}},
          {"layout", 7}};
}

inline nlohmann::json named(std::string_view name) { return {{"as_tensor", {{"name", name}}}}; }
inline nlohmann::json number(int value) { return {{"as_int", value}}; }

inline nlohmann::json call_of(std::string_view target, std::string_view name,
                              const std::vector<std::pair<std::string, nlohmann::json>>& inputs) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [input, argument] : inputs) {
    list.push_back({{"name", input}, {"arg", argument}, {"kind", 1}});
  }
  return {{"target", target},
          {"inputs", list},
          {"outputs", nlohmann::json::array({named(name)})},
          {"metadata", {{"stack_trace", "File \"model.py\", line 7, in forward"}}},
          {"is_hop_single_tensor_return", nullptr},
          {"name", name}};
}

// attention(reshape(relu(conv(x, weight, bias)))) with a dynamic batch "s1" in [2, 8]; its second
// output is None. The weight is a strided view; a parameter is not used.
inline Entries small_archive() {
  using Json = nlohmann::json;
  const Json batch = size_of_batch();
  const Json image = meta_of(7, {batch, number(2), number(2), number(4)}, {16, 8, 4, 1});
  const Json heads = meta_of(7, {batch, number(4), number(4)}, {16, 4, 1});
  const Json weight = meta_of(7, {number(2), number(2), number(1), number(1)}, {1, 2, 1, 1});
  const Json bias = meta_of(7, {number(2)}, {1});
  Json size_call = call_of("torch.ops.aten.sym_size.int", "sym_size_int",
                           {{"self", named("x")}, {"dim", number(0)}});
  size_call["outputs"] = Json::array({{{"as_sym_int", {{"as_name", "sym_size_int"}}}}});
  const Json shape{
      {"as_sym_ints", Json::array({{{"as_name", "sym_size_int"}}, number(4), number(4)})}};
  const Json graph{
      {"inputs", Json::array({named("p_weight"), named("p_bias"), named("p_unused"), named("x")})},
      {"outputs", Json::array({named("attention"), {{"as_none", true}}})},
      {"nodes",
       Json::array(
           {size_call,
            call_of(
                "torch.ops.aten.conv2d.default", "conv2d",
                {{"input", named("x")}, {"weight", named("p_weight")}, {"bias", named("p_bias")}}),
            call_of("torch.ops.aten.relu.default", "relu", {{"self", named("conv2d")}}),
            call_of("torch.ops.aten.reshape.default", "reshape",
                    {{"self", named("relu")}, {"shape", shape}}),
            call_of("torch.ops.aten.scaled_dot_product_attention.default", "attention",
                    {{"query", named("reshape")},
                     {"key", named("reshape")},
                     {"value", named("reshape")}})})},
      {"tensor_values",
       {{"p_weight", weight},
        {"p_bias", bias},
        {"p_unused", bias},
        {"x", image},
        {"conv2d", image},
        {"relu", image},
        {"reshape", heads},
        {"attention", heads}}},
      {"sym_int_values", {{"sym_size_int", batch}}}};
  const auto parameter = [](std::string_view name) {
    return Json{{"parameter", {{"arg", {{"name", str("p_", name)}}}, {"parameter_name", name}}}};
  };
  const Json signature{
      {"input_specs", Json::array({parameter("weight"),
                                   parameter("bias"),
                                   parameter("unused"),
                                   {{"user_input", {{"arg", named("x")}}}}})},
      {"output_specs", Json::array({{{"user_output", {{"arg", named("attention")}}}},
                                    {{"user_output", {{"arg", {{"as_none", true}}}}}}})}};
  const Json model{
      {"schema_version", {{"major", 8}, {"minor", 20}}},
      {"range_constraints", {{"s1", {{"min_val", 2}, {"max_val", 8}}}}},
      {"graph_module",
       {{"graph", graph},
        {"signature", signature},
        {"module_call_graph",
         Json::array({{{"fqn", ""},
                       {"signature",
                        {{"in_spec", "tree of inputs"}, {"out_spec", "tree of outputs"}}}}})}}}};
  const auto payload = [](const Json& meta, std::string_view path) {
    return Json{
        {"path_name", path}, {"is_param", true}, {"use_pickle", false}, {"tensor_meta", meta}};
  };
  const Json config{{"config",
                     {{"weight", payload(weight, "weight_0")},
                      {"bias", payload(bias, "weight_1")},
                      {"unused", payload(bias, "weight_1")}}}};
  const std::vector<float> weights{1.0F, 2.0F, 3.0F, 4.0F};
  const std::vector<float> biases{0.5F, -0.5F};
  const auto bytes = [](const std::vector<float>& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  };
  return {{"m/archive_format", "pt2"},
          {"m/byteorder", "little"},
          {"m/data/constants/model_constants_config.json", R"({"config": {}})"},
          {"m/data/weights/model_weights_config.json", config.dump()},
          {"m/data/weights/weight_0", bytes(weights)},
          {"m/data/weights/weight_1", bytes(biases)},
          {"m/models/model.json", model.dump()}};
}

// A buffer float32[2, 2] of ones that is written through views and as a whole:
//   c[0] += x[0]; c.t()[1:2] = 0; c.copy_(c + x) by another name; return relu(c.t())
inline Entries writing_archive() {
  using Json = nlohmann::json;
  const Json square = meta_of(7, {number(2), number(2)}, {2, 1});
  const Json turned = meta_of(7, {number(2), number(2)}, {1, 2});
  const Json row = meta_of(7, {number(2)}, {1});
  const Json column = meta_of(7, {number(1), number(2)}, {1, 2});
  const auto aten = [](std::string_view name) { return str("torch.ops.aten.", name); };
  const auto select = [&](std::string_view from, std::string_view name) {
    return call_of(aten("select.int"), name,
                   {{"self", named(from)}, {"dim", number(0)}, {"index", number(0)}});
  };
  const auto of_two = [&](std::string_view target, std::string_view name, std::string_view self,
                          std::string_view other_name, std::string_view other) {
    return call_of(aten(target), name,
                   {{"self", named(self)}, {std::string(other_name), named(other)}});
  };
  const Json graph{
      {"inputs", Json::array({named("b_c"), named("x")})},
      {"outputs", Json::array({named("relu")})},
      {"nodes", Json::array({select("b_c", "select"), select("x", "select_1"),
                             of_two("add_.Tensor", "add_", "select", "other", "select_1"),
                             call_of(aten("t.default"), "t", {{"self", named("b_c")}}),
                             call_of(aten("slice.Tensor"), "slice_1",
                                     {{"self", named("t")},
                                      {"dim", number(0)},
                                      {"start", number(1)},
                                      {"end", number(2)}}),
                             call_of(aten("zero_.default"), "zero_", {{"self", named("slice_1")}}),
                             of_two("add.Tensor", "add", "b_c", "other", "x"),
                             of_two("copy_.default", "copy_", "b_c", "src", "add"),
                             call_of(aten("relu.default"), "relu", {{"self", named("t")}})})},
      {"tensor_values",
       {{"b_c", square},
        {"x", square},
        {"select", row},
        {"select_1", row},
        {"add_", row},
        {"t", turned},
        {"slice_1", column},
        {"zero_", column},
        {"add", square},
        {"copy_", square},
        {"relu", turned}}},
      {"sym_int_values", Json::object()}};
  const Json signature{
      {"input_specs",
       Json::array(
           {{{"buffer", {{"arg", {{"name", "b_c"}}}, {"buffer_name", "c"}, {"persistent", true}}}},
            {{"user_input", {{"arg", named("x")}}}}})},
      {"output_specs", Json::array({{{"user_output", {{"arg", named("relu")}}}}})}};
  const Json model{
      {"schema_version", {{"major", 8}, {"minor", 20}}},
      {"range_constraints", Json::object()},
      {"graph_module",
       {{"graph", graph}, {"signature", signature}, {"module_call_graph", Json::array()}}}};
  const Json config{{"config",
                     {{"c",
                       {{"path_name", "weight_0"},
                        {"is_param", false},
                        {"use_pickle", false},
                        {"tensor_meta", square}}}}}};
  const std::vector<float> ones(4, 1.0F);
  Entries entries = small_archive();
  entries.at("m/data/weights/model_weights_config.json") = config.dump();
  entries.at("m/data/weights/weight_0") =
      std::string(reinterpret_cast<const char*>(ones.data()), ones.size() * sizeof(float));
  entries.at("m/models/model.json") = model.dump();
  return entries;
}

}  // namespace enn::testing

// Programs for tests, without an archive.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "archive/exported_program.hpp"
#include "enn/tensor.hpp"

namespace enn::testing {

// The first inputs and outputs of the graph are those of `mutations`.
[[nodiscard]] inline ExportedProgram program_of(const std::string& text,
                                                std::vector<Mutation> mutations = {}) {
  auto graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  auto state = std::make_shared<ExportedProgram::State>();
  state->graph = std::move(graph).value();
  for (const ValueId id : state->graph.inputs()) {
    state->inputs.push_back({state->graph.value(id).name, state->graph.value(id).type});
  }
  for (const ValueId id : state->graph.outputs()) {
    state->outputs.push_back({state->graph.value(id).name, state->graph.value(id).type});
  }
  const auto kept = static_cast<std::ptrdiff_t>(mutations.size());
  state->inputs.erase(state->inputs.begin(), state->inputs.begin() + kept);
  state->outputs.erase(state->outputs.begin(), state->outputs.begin() + kept);
  state->mutations = std::move(mutations);
  return ExportedProgram(std::move(state));
}

// A convolution with a batch norm and relu, its result added to its input, and a pooled one.
inline constexpr const char* kSmallModel = R"(graph {
  input %x: float32[1, 1, 2, 2]
  constant %w: float32[1, 1, 1, 1] = hex 00000040
  constant %gamma: float32[1] = hex 00000040
  constant %beta: float32[1] = hex 0000803f
  constant %mean: float32[1] = hex 00000000
  constant %variance: float32[1] = hex 0000803f
  %conv: float32[1, 1, 2, 2] = convolution(%x, %w, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %norm: float32[1, 1, 2, 2] = batch_norm(%conv, %gamma, %beta, %mean, %variance) {eps = 0.0}
  %relu: float32[1, 1, 2, 2] = relu(%norm)
  %pool: float32[1, 1, 2, 2] = max_pool2d(%relu) {ceil_mode = false, dilation = [1, 1], kernel = [1, 1], pads = [0, 0, 0, 0], stride = [1, 1]}
  %sum: float32[1, 1, 2, 2] = add(%pool, %x)
  return %sum
})";

[[nodiscard]] inline std::vector<float> random_floats(std::size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

// The bytes of a constant as the text form of a graph has them.
[[nodiscard]] inline std::string hex(const std::vector<float>& values) {
  std::string out;
  for (const std::byte byte : std::as_bytes(std::span(values))) {
    constexpr const char* kDigits = "0123456789abcdef";
    out += kDigits[std::to_integer<int>(byte) / 16];
    out += kDigits[std::to_integer<int>(byte) % 16];
  }
  return out;
}

[[nodiscard]] inline TensorView view_of(const std::vector<float>& values) {
  return {{DType::Float32, {1, 1, 2, 2}}, std::as_bytes(std::span(values))};
}

}  // namespace enn::testing

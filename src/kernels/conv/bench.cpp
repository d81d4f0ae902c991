// Every row of kernels.def on the layers of a network, one thread:
//   enn_conv_bench benchmarks/shapes/mobilenet_v2.txt [Google Benchmark's options]
#include <string>
#include <vector>

#include "kernels/conv/bench_layers.hpp"
#include "kernels/conv/conv.hpp"

namespace enn {
namespace {

void run_layer(benchmark::State& state, const ConvKernel& kernel, const Layer& layer) {
  const ConvGeometry& g = layer.geometry;
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  std::vector<std::uint8_t> input(size(g.batch * g.in_h * g.in_w * g.in_c), 130);
  std::vector<std::uint8_t> output(size(g.pixels() * g.out_c));
  std::vector<std::int8_t> weight(size(g.out_c * g.depth()), 3);
  std::vector<float> multiplier(size(g.out_c), 0.001F);
  std::vector<float> bias(size(g.out_c), 1.0F);
  ConvProblem problem;
  problem.geometry = g;
  problem.weight = weight.data();
  problem.multiplier = multiplier.data();
  problem.bias = bias.data();
  problem.input_zero_point = 128;
  problem.output_zero_point = 128;
  const auto conv = kernel.make(problem, 1);
  if (conv == nullptr) {
    state.SkipWithError("the kernel does not take this layer");
    return;
  }
  std::vector<std::byte> memory(conv->scratch_bytes() + 64);
  auto* scratch = reinterpret_cast<std::byte*>(
      (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64);
  SerialParallel parallel;
  for (auto _ : state) {
    conv->run(input.data(), nullptr, output.data(), scratch, parallel);
    benchmark::ClobberMemory();
  }
  report(state, layer);
}

}  // namespace
}  // namespace enn

int main(int argc, char** argv) {
  const auto takes = [](const enn::ConvKernel& kernel, const enn::ConvGeometry& g) {
    const bool depthwise = g.groups > 1 && g.groups == g.in_c && g.in_c == g.out_c;
    return depthwise || !std::string(kernel.name).starts_with("depthwise");
  };
  return enn::bench_layers(argc, argv, enn::conv_kernels(), takes, enn::run_layer);
}

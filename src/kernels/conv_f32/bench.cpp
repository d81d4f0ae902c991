// Every row of kernels.def on the layers of a network, one thread:
//   enn_conv_f32_bench benchmarks/shapes/mobilenet_v2.txt [Google Benchmark's options]
#include <limits>
#include <vector>

#include "kernels/conv/bench_layers.hpp"
#include "kernels/conv_f32/conv_f32.hpp"

namespace enn {
namespace {

void run_layer(benchmark::State& state, const ConvF32Kernel& kernel, const Layer& layer) {
  const ConvGeometry& g = layer.geometry;
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const std::vector<float> input(size(g.batch * g.in_h * g.in_w * g.in_c), 0.5F);
  const std::vector<float> weight(size(g.out_c * g.depth()), 0.25F);
  const std::vector<float> bias(size(g.out_c), 1.0F);
  std::vector<float> output(size(g.pixels() * g.out_c));
  std::vector<float> packed(size(conv_f32_packed_size(kernel, g)));
  pack_conv_f32_weight(kernel, g, weight.data(), packed.data());
  ConvF32Args args;
  args.geometry = g;
  args.packed_weight = packed.data();
  args.bias = bias.data();
  args.activation_min = 0.0F;
  args.activation_max = std::numeric_limits<float>::infinity();
  args.input = input.data();
  args.output = output.data();
  SerialParallel parallel;
  for (auto _ : state) {
    run_conv_f32(kernel, args, parallel);
    benchmark::ClobberMemory();
  }
  report(state, layer);
}

}  // namespace
}  // namespace enn

int main(int argc, char** argv) {
  const auto takes = [](const enn::ConvF32Kernel& kernel, const enn::ConvGeometry& g) {
    return enn::takes(kernel, g) && &kernel != &enn::conv_f32_kernels().back();
  };
  return enn::bench_layers(argc, argv, enn::conv_f32_kernels(), takes, enn::run_layer);
}

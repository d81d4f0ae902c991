// Every row of kernels.def on the layers of a network, one thread:
//   enn_conv_f32_bench benchmarks/shapes/mobilenet_v2.txt [Google Benchmark's options]
// Reports multiply-adds per second; "count" is how often the layer occurs in the network.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
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
  const double products = static_cast<double>(g.pixels() * g.out_c * g.depth());
  state.counters["MAC/s"] =
      benchmark::Counter(products, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["count"] = layer.count;
}

}  // namespace
}  // namespace enn

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s <shapes file> [--benchmark_…]\n", argv[0]);
    return EXIT_FAILURE;
  }
  const enn::CpuFeatures features = enn::detected_features();
  for (const enn::Layer& layer : enn::read_layers(argv[1])) {
    const enn::ConvGeometry& g = layer.geometry;
    for (const enn::ConvF32Kernel& kernel : enn::conv_f32_kernels()) {
      const bool is_reference = &kernel == &enn::conv_f32_kernels().back();
      if (!features.contains(kernel.needs) || !takes(kernel, g) || is_reference) continue;
      benchmark::RegisterBenchmark(
          (kernel.name + enn::layer_name(g)).c_str(),
          [&kernel, layer](benchmark::State& state) { enn::run_layer(state, kernel, layer); })
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}

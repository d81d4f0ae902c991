// Kernels on the layers of a network, as benchmarks/shapes/*.txt lists them, one thread.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/conv/conv.hpp"

namespace enn {

struct Layer {
  int count = 1;
  ConvGeometry geometry;
};

inline std::vector<Layer> read_layers(const char* path) {
  std::vector<Layer> layers;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream in(line);
    Layer layer;
    ConvGeometry& g = layer.geometry;
    in >> layer.count >> g.batch >> g.in_h >> g.in_w >> g.in_c >> g.out_c >> g.kernel_h >>
        g.stride_h >> g.pad_top >> g.dilation_h >> g.groups;
    if (!in) continue;
    // A linear layer's rows lie along the width.
    g.kernel_w = g.kernel_h;
    g.stride_w = g.stride_h;
    g.pad_left = g.pad_top;
    g.dilation_w = g.dilation_h;
    const std::int64_t extent = g.dilation_h * (g.kernel_h - 1) + 1;
    g.out_h = (g.in_h + 2 * g.pad_top - extent) / g.stride_h + 1;
    g.out_w = (g.in_w + 2 * g.pad_left - extent) / g.stride_w + 1;
    layers.push_back(layer);
  }
  return layers;
}

inline std::string layer_name(const ConvGeometry& g) {
  return (std::ostringstream() << '/' << g.in_h << 'x' << g.in_w << 'x' << g.in_c << "->" << g.out_c
                               << "/k" << g.kernel_h << "/s" << g.stride_h << "/g" << g.groups)
      .str();
}

// Multiply-adds per second, and how often the layer occurs in the network.
inline void report(benchmark::State& state, const Layer& layer) {
  const ConvGeometry& g = layer.geometry;
  const double products = static_cast<double>(g.pixels() * g.out_c * g.depth());
  state.counters["MAC/s"] =
      benchmark::Counter(products, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["count"] = layer.count;
}

// The main function: `run(state, kernel, layer)` for each kernel that the CPU has and that
// `takes(kernel, geometry)`.
template <typename Kernel, typename Takes, typename Run>
int bench_layers(int argc, char** argv, std::span<const Kernel> kernels, Takes takes, Run run) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s <shapes file> [--benchmark_…]\n", argv[0]);
    return EXIT_FAILURE;
  }
  const CpuFeatures features = detected_features();
  for (const Layer& layer : read_layers(argv[1])) {
    for (const Kernel& kernel : kernels) {
      if (!features.contains(kernel.needs) || !takes(kernel, layer.geometry)) continue;
      benchmark::RegisterBenchmark(
          (kernel.name + layer_name(layer.geometry)).c_str(),
          [&kernel, layer, run](benchmark::State& state) { run(state, kernel, layer); })
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}

}  // namespace enn

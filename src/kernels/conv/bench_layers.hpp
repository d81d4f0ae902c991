// The layers of a network, as benchmarks/shapes/*.txt lists them.
#pragma once

#include <fstream>
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

}  // namespace enn

// Channels of different range share the scale of the tensor that they are in, so that small ones
// are rounded coarsely. Where a layer gives a tensor that only layers read, a channel can be
// divided by a factor if the weights that read it are multiplied by that factor; the float model
// stays the same (M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
// Correction, 2019, with ranges of activations in the place of those of weights, as in G. Xiao et
// al., SmoothQuant, 2023).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "enn/exported_program.hpp"
#include "enn/model.hpp"

namespace enn {

// Looks at the channels of a float graph on samples, then gives the constants of a graph whose
// channels are more alike.
//
// A tensor is equalized when a convolution that is not transposed or a linear layer gives it, with
// or without an activation f for which f(a x) = a f(x) with a > 0 (relu, leaky_relu), and when
// layers of the same kind alone read it, as their input. A clamp [0, b] fits too: its bound stays
// b, so that a channel is clipped at less than b. Constants that several nodes read are left alone.
class Equalizer {
 public:
  // Errors are those of Model::compile_graph. Batch norms that are not folded into layers are read
  // as any other node. `inputs`, `outputs` and `mutations` are those of the graph.
  [[nodiscard]] static Result<Equalizer> create(const Graph& graph, std::vector<NamedType> inputs,
                                                std::vector<NamedType> outputs,
                                                const std::vector<Mutation>& mutations,
                                                const ModelOptions& options);

  // Sees one sample, and gives the float model's results.
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs);

  // New elements, row-major, of weights and biases of the graph. Empty before the first sample.
  [[nodiscard]] Result<std::map<ValueId, std::vector<float>>> constants() const;

  // How many tensors are equalized.
  [[nodiscard]] std::size_t size() const { return tensors_.size(); }

 private:
  // By tap of the model.
  struct EqualizedTensor {
    NodeId layer = kNone;
    std::vector<NodeId> readers;
    bool bounded = false;  // by a clamp
    std::size_t channels = 0;
    std::size_t stride = 1;    // of channels in memory
    std::vector<float> peaks;  // by channel, the largest magnitude of all samples
    std::vector<double> sums;  // by channel, of each sample's largest magnitude
  };
  class Listener;

  Equalizer() = default;
  [[nodiscard]] std::vector<float> factors(const EqualizedTensor& tensor) const;

  Graph graph_;
  std::vector<EqualizedTensor> tensors_;
  std::optional<Model> model_;
  std::uint64_t samples_ = 0;
};

}  // namespace enn

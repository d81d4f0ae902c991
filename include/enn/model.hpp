// A model that runs: a program of torch.export, compiled for the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "enn/execution.hpp"
#include "enn/exported_program.hpp"
#include "enn/program.hpp"
#include "enn/result.hpp"
#include "enn/tensor.hpp"

namespace enn {

// How a model is compiled and run.
struct ModelOptions {
  Execution execution = Execution::Qdq;  // of the quantize and dequantize operators
  int threads = 1;                       // >= 1
  std::string isa;                       // as LoadOptions::isa
  bool source_lines = false;             // steps name their lines of the eager model
};

// A program compiled for the engine, on threads of its own. A buffer that the program changes keeps
// its value from call to call; what the program writes into an input does not reach the caller's.
class Model {
 public:
  // Unsupported when the engine does not take an operator of the program: the message names the
  // node and the reason.
  [[nodiscard]] static Result<Model> compile(const ExportedProgram& program,
                                             const ModelOptions& options = {});

  // The same for a graph of the core: the caller's inputs and outputs have these names and types,
  // in the order of the graph, and `mutations` says which of the graph's inputs and outputs are
  // none of them. Its taps are shown to the listener of a run.
  [[nodiscard]] static Result<Model> compile_graph(const Graph& graph,
                                                   std::vector<NamedType> inputs,
                                                   std::vector<NamedType> outputs,
                                                   const ModelOptions& options = {},
                                                   std::vector<Mutation> mutations = {});

  // Runs the model. `inputs` are as inputs(): a wrong number, element type or shape is an
  // InvalidArgument that names the input and what was expected. They are read where they lie,
  // unless an address is no multiple of its element's size. Not to be called at the same time on
  // two threads.
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs,
                                                       ExecutionListener* listener = nullptr);
  // Gives the buffers the values from before the first call.
  void reset();

  // As those of the program that was compiled.
  [[nodiscard]] const std::vector<NamedType>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<NamedType>& outputs() const { return outputs_; }
  // Of each tap of the graph the order of its dimensions in memory; empty for that of the shape.
  [[nodiscard]] const std::vector<DimOrder>& tap_orders() const { return tap_orders_; }
  // What runs: its steps, and the types that it takes and gives, those of buffers among them.
  [[nodiscard]] const Program& program() const { return *program_; }
  // What program() was loaded from; with Execution::Integer the bytes that the delegate loads.
  [[nodiscard]] std::span<const std::byte> payload() const { return payload_; }

 private:
  Model() = default;

  std::vector<NamedType> inputs_;
  std::vector<NamedType> outputs_;
  std::vector<DimOrder> tap_orders_;
  std::vector<std::size_t> input_places_;   // of inputs_ among the program's
  std::vector<std::size_t> output_places_;  // of outputs_
  std::vector<Mutation> mutations_;
  std::vector<std::vector<std::byte>> values_;  // of the mutations: what the next call finds
  std::vector<std::byte> payload_;              // outlives program_
  std::unique_ptr<Parallel> threads_;
  std::unique_ptr<Program> program_;
};

}  // namespace enn

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

struct ModelOptions {
  Execution execution = Execution::Qdq;
  int threads = 1;  // >= 1
  std::string isa;  // as LoadOptions::isa
};

class Model {
 public:
  // Unsupported when the engine does not take an operator of the program: the message names the
  // node and the reason.
  [[nodiscard]] static Result<Model> compile(const ExportedProgram& program,
                                             const ModelOptions& options = {});

  // Runs the model. `inputs` are as program().inputs(): a wrong number, element type or shape is an
  // InvalidArgument that names the input and what was expected. Not to be called at the same time
  // on two threads.
  [[nodiscard]] Result<std::vector<Tensor>> operator()(std::span<const TensorView> inputs,
                                                       ExecutionListener* listener = nullptr);

  [[nodiscard]] const Program& program() const { return *program_; }
  // The bytes that the delegate loads.
  [[nodiscard]] std::span<const std::byte> payload() const { return payload_; }

 private:
  friend class PreparedModel;
  Model() = default;
  [[nodiscard]] static Result<Model> compile_graph(const Graph& graph,
                                                   const std::vector<NamedType>& inputs,
                                                   const std::vector<NamedType>& outputs,
                                                   const ModelOptions& options);

  std::vector<NamedType> inputs_;
  std::vector<NamedType> outputs_;
  std::vector<std::byte> payload_;  // outlives program_
  std::unique_ptr<Parallel> threads_;
  std::unique_ptr<Program> program_;
};

}  // namespace enn

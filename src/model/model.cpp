#include "enn/model.hpp"

#include <cstdint>
#include <utility>

#include "compiler/compiler.hpp"
#include "ir/graph.hpp"

namespace enn {
namespace {

std::size_t byte_size(const TensorType& type) {
  return static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
}

bool is_aligned(const std::byte* address, DType dtype) {
  return reinterpret_cast<std::uintptr_t>(address) % size_of(dtype) == 0;
}

Status check_names(std::string_view what, const std::vector<NamedType>& named,
                   std::span<const TensorType> types) {
  if (named.size() != types.size()) {
    return error(Code::Internal, "the program has ", types.size(), ' ', what, "s, the model ",
                 named.size());
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (named[i].type == types[i]) continue;
    return error(Code::Internal, what, " '", named[i].name, "' is ", to_string(types[i]),
                 " in the program, but ", to_string(named[i].type), " in the model");
  }
  return {};
}

Status check_input(const NamedType& expected, const TensorView& given) {
  if (given.type != expected.type) {
    return error(Code::InvalidArgument, "input '", expected.name, "' is ", to_string(given.type),
                 ", expected ", to_string(expected.type));
  }
  if (given.bytes.size() != byte_size(expected.type)) {
    return error(Code::InvalidArgument, "input '", expected.name, "' has ", given.bytes.size(),
                 " bytes, but ", to_string(expected.type), " has ", byte_size(expected.type));
  }
  return {};
}

}  // namespace

Result<Model> Model::compile_graph(const Graph& graph, std::vector<NamedType> inputs,
                                   std::vector<NamedType> outputs, const ModelOptions& options) {
  if (options.threads < 1) {
    return error(Code::InvalidArgument, "threads is ", options.threads, "; it must be at least 1");
  }
  CompileOptions compile_options;
  compile_options.execution = options.execution;
  compile_options.source_lines = options.source_lines;
  ENN_ASSIGN(CompiledProgram compiled, enn::compile(graph, compile_options));
  Model model;
  model.inputs_ = std::move(inputs);
  model.outputs_ = std::move(outputs);
  model.payload_ = std::move(compiled.bytes);
  LoadOptions load_options;
  load_options.isa = options.isa;
  load_options.max_threads = options.threads;
  ENN_ASSIGN(model.program_, Program::load(model.payload_, load_options));
  ENN_TRY(check_names("input", model.inputs_, model.program_->inputs()));
  ENN_TRY(check_names("output", model.outputs_, model.program_->outputs()));
  model.threads_ = make_thread_pool(options.threads);
  return model;
}

Result<std::vector<Tensor>> Model::operator()(std::span<const TensorView> inputs,
                                              ExecutionListener* listener) {
  if (inputs.size() != inputs_.size()) {
    return error(Code::InvalidArgument, "the model takes ", inputs_.size(), " inputs, not ",
                 inputs.size());
  }
  std::vector<const std::byte*> sources;
  std::vector<std::vector<std::byte>> copies;  // of what lies at an odd address
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ENN_TRY(check_input(inputs_[i], inputs[i]));
    sources.push_back(inputs[i].bytes.data());
    if (is_aligned(sources.back(), inputs[i].type.dtype)) continue;
    copies.emplace_back(inputs[i].bytes.begin(), inputs[i].bytes.end());
    sources.back() = copies.back().data();
  }
  std::vector<Tensor> outputs;
  std::vector<std::byte*> targets;
  for (const NamedType& output : outputs_) {
    outputs.push_back({output.type, std::vector<std::byte>(byte_size(output.type))});
    targets.push_back(outputs.back().bytes.data());
  }
  ENN_TRY(program_->execute(sources, targets, *threads_, listener));
  return outputs;
}

}  // namespace enn

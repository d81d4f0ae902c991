#include "enn/model.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/guard.hpp"
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

// `places` are those of the named types among the program's.
Status check_names(std::string_view what, const std::vector<NamedType>& named,
                   std::span<const TensorType> types, const std::vector<std::size_t>& places) {
  if (named.size() != places.size()) {
    return error(Code::Internal, "the program has ", places.size(), ' ', what, "s, the model ",
                 named.size());
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    const TensorType& type = types[places[i]];
    if (named[i].type == type) continue;
    return error(Code::Internal, what, " '", named[i].name, "' is ", to_string(type),
                 " in the program, but ", to_string(named[i].type), " in the model");
  }
  return {};
}

// The numbers below `count` that are not among `others`.
std::vector<std::size_t> places_beside(std::size_t count, const std::vector<std::size_t>& others) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::ranges::find(others, i) == others.end()) out.push_back(i);
  }
  return out;
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
                                   std::vector<NamedType> outputs, const ModelOptions& options,
                                   std::vector<Mutation> mutations) {
  if (options.threads < 1) {
    return error(Code::InvalidArgument, "threads is ", options.threads, "; it must be at least 1");
  }
  return guarded("compile the model", [&]() -> Result<Model> {
    CompileOptions compile_options;
    compile_options.execution = options.execution;
    compile_options.source_lines = options.source_lines;
    ENN_ASSIGN(CompiledProgram compiled, enn::compile(graph, compile_options));
    Model model;
    model.inputs_ = std::move(inputs);
    model.outputs_ = std::move(outputs);
    model.payload_ = std::move(compiled.bytes);
    model.tap_orders_ = std::move(compiled.tap_orders);
    LoadOptions load_options;
    load_options.isa = options.isa;
    load_options.max_threads = options.threads;
    ENN_ASSIGN(model.program_, Program::load(model.payload_, load_options));
    const std::span<const TensorType> given = model.program_->inputs();
    const std::span<const TensorType> computed = model.program_->outputs();
    std::vector<std::size_t> buffers;
    std::vector<std::size_t> new_values;
    for (const Mutation& mutation : mutations) {
      if (mutation.before >= given.size() || mutation.after >= computed.size() ||
          (mutation.initial != nullptr &&
           mutation.initial->size() != byte_size(given[mutation.before]))) {
        return error(Code::Internal, "the program has no value for '", mutation.name, "'");
      }
      if (mutation.initial != nullptr) buffers.push_back(mutation.before);
      new_values.push_back(mutation.after);
    }
    model.input_places_ = places_beside(given.size(), buffers);
    model.output_places_ = places_beside(computed.size(), new_values);
    ENN_TRY(check_names("input", model.inputs_, given, model.input_places_));
    ENN_TRY(check_names("output", model.outputs_, computed, model.output_places_));
    model.mutations_ = std::move(mutations);
    model.reset();
    model.threads_ = make_thread_pool(options.threads);
    return model;
  });
}

Result<std::vector<Tensor>> Model::operator()(std::span<const TensorView> inputs,
                                              ExecutionListener* listener) {
  if (inputs.size() != inputs_.size()) {
    return error(Code::InvalidArgument, "the model takes ", inputs_.size(), " inputs, not ",
                 inputs.size());
  }
  return guarded("run the model", [&]() -> Result<std::vector<Tensor>> {
    std::vector<const std::byte*> sources(program_->inputs().size());
    std::vector<std::byte*> targets(program_->outputs().size());
    std::vector<std::vector<std::byte>> after;  // of the mutations
    for (std::size_t i = 0; i < mutations_.size(); ++i) {
      const Mutation& mutation = mutations_[i];
      if (mutation.initial != nullptr) sources[mutation.before] = values_[i].data();
      after.emplace_back(byte_size(program_->outputs()[mutation.after]));
      targets[mutation.after] = after.back().data();
    }
    std::vector<std::vector<std::byte>> copies;  // of what lies at an odd address
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ENN_TRY(check_input(inputs_[i], inputs[i]));
      const std::byte*& source = sources[input_places_[i]];
      source = inputs[i].bytes.data();
      if (is_aligned(source, inputs[i].type.dtype)) continue;
      copies.emplace_back(inputs[i].bytes.begin(), inputs[i].bytes.end());
      source = copies.back().data();
    }
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const TensorType& type = outputs_[i].type;
      outputs.push_back({type, std::vector<std::byte>(byte_size(type))});
      targets[output_places_[i]] = outputs.back().bytes.data();
    }
    ENN_TRY(program_->execute(sources, targets, *threads_, listener));
    values_ = std::move(after);
    return outputs;
  });
}

void Model::reset() {
  values_.clear();
  for (const Mutation& mutation : mutations_) {
    values_.emplace_back();
    if (mutation.initial != nullptr) values_.back() = *mutation.initial;
  }
}

}  // namespace enn

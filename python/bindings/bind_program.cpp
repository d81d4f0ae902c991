#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>

#include "arrays.hpp"
#include "base/thread_count.hpp"
#include "bindings.hpp"
#include "enn/parallel.hpp"
#include "enn/program.hpp"

namespace enn::python {

namespace {

void check_input(std::size_t index, const InputArray& array, const TensorType& type) {
  const bool same_shape = array.ndim() == type.shape.size() &&
                          std::equal(type.shape.begin(), type.shape.end(), array.shape_ptr());
  if (array.dtype() != dlpack_dtype(type.dtype) || !same_shape) {
    raise(error(Code::InvalidArgument, "input ", index, " must be ", to_string(type)));
  }
}

OutputArray new_output(const TensorType& type) {
  const auto bytes = static_cast<std::size_t>(numel(type.shape)) * size_of(type.dtype);
  auto storage = std::make_unique<std::byte[]>(bytes);
  std::vector<std::size_t> shape(type.shape.begin(), type.shape.end());
  std::byte* data = storage.get();
  nb::capsule owner(storage.release(),
                    [](void* pointer) noexcept { delete[] static_cast<std::byte*>(pointer); });
  return OutputArray(data, shape.size(), shape.data(), owner, nullptr, dlpack_dtype(type.dtype));
}

std::vector<PyTensorType> py_types(std::span<const TensorType> types) {
  std::vector<PyTensorType> result;
  for (const TensorType& type : types) result.push_back(py_tensor_type(type));
  return result;
}

// A program with the bytes it points into and the threads it runs on.
class LoadedProgram {
 public:
  LoadedProgram(nb::bytes payload, const std::string& isa, int threads)
      : payload_(std::move(payload)) {
    if (threads < 1)
      raise(error(Code::InvalidArgument, "threads must be at least 1, not ", threads));
    const std::span bytes(static_cast<const std::byte*>(payload_.data()), payload_.size());
    program_ = take(Program::load(bytes, {isa, threads}));
    pool_ = make_thread_pool(threads);
  }

  [[nodiscard]] const Program& program() const { return *program_; }

  std::vector<OutputArray> execute(const std::vector<InputArray>& inputs) {
    const auto types = program_->inputs();
    if (inputs.size() != types.size()) {
      raise(error(Code::InvalidArgument, "the program takes ", types.size(), " inputs, not ",
                  inputs.size()));
    }
    std::vector<const std::byte*> sources;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      check_input(i, inputs[i], types[i]);
      sources.push_back(static_cast<const std::byte*>(inputs[i].data()));
    }
    std::vector<OutputArray> outputs;
    std::vector<std::byte*> targets;
    for (const TensorType& type : program_->outputs()) {
      outputs.push_back(new_output(type));
      targets.push_back(static_cast<std::byte*>(outputs.back().data()));
    }
    check(program_->execute(sources, targets, *pool_));
    return outputs;
  }

 private:
  nb::bytes payload_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Parallel> pool_;
};

}  // namespace

void bind_program(nb::module_& module) {
  nb::class_<StepInfo>(module, "StepInfo", "One step of a loaded program.")
      .def_ro("name", &StepInfo::name)
      .def_ro("source", &StepInfo::source)
      .def_ro("module_path", &StepInfo::module_path)
      .def_ro("op", &StepInfo::op)
      .def_ro("kernel", &StepInfo::kernel);

  module.def("usable_threads", &usable_threads, nb::arg("wanted"),
             "Not more threads than this process has CPUs, and at least 1.");

  nb::class_<LoadedProgram>(module, "Program", "A compiled program, verified and ready to run.")
      .def(nb::init<nb::bytes, const std::string&, int>(), nb::arg("payload"), nb::arg("isa") = "",
           nb::arg("threads") = 1)
      .def_prop_ro("inputs",
                   [](const LoadedProgram& self) { return py_types(self.program().inputs()); })
      .def_prop_ro("outputs",
                   [](const LoadedProgram& self) { return py_types(self.program().outputs()); })
      .def_prop_ro("steps", [](const LoadedProgram& self) { return self.program().steps(); })
      .def_prop_ro("isa",
                   [](const LoadedProgram& self) { return std::string(self.program().isa()); })
      .def_prop_ro("arena_bytes",
                   [](const LoadedProgram& self) { return self.program().arena_bytes(); })
      .def("execute", &LoadedProgram::execute, nb::arg("inputs"),
           "Runs the program on arrays of its input types.");
}

}  // namespace enn::python

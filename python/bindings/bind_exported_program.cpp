#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <filesystem>

#include "archive/exported_program.hpp"
#include "bindings.hpp"
#include "enn/exported_program.hpp"
#include "ir/graph.hpp"

namespace enn::python {
namespace {

using PyNamedType = std::pair<std::string, PyTensorType>;

std::vector<PyNamedType> named_types(const std::vector<NamedType>& types) {
  std::vector<PyNamedType> out;
  for (const NamedType& item : types) out.emplace_back(item.name, py_tensor_type(item.type));
  return out;
}

}  // namespace

void bind_exported_program(nb::module_& module) {
  nb::class_<ExportedProgram>(module, "ExportedProgram",
                              "A program of torch.export, read without torch.")
      .def_static(
          "load",
          [](const std::string& path, std::int64_t dynamic_size) {
            ExportOptions options;
            options.dynamic_size = dynamic_size;
            return take(ExportedProgram::load(path, options));
          },
          nb::arg("path"), nb::arg("dynamic_size") = 0)
      .def(
          "save",
          [](const ExportedProgram& program, const std::string& path) {
            check(program.save(path));
          },
          nb::arg("path"))
      .def("transform_for_annotation",
           [](const ExportedProgram& program) { return take(transform_for_annotation(program)); })
      .def_prop_ro("inputs",
                   [](const ExportedProgram& program) { return named_types(program.inputs()); })
      .def_prop_ro("outputs",
                   [](const ExportedProgram& program) { return named_types(program.outputs()); })
      .def_prop_ro("graph", [](const ExportedProgram& program) { return Graph(program.graph()); });
}

}  // namespace enn::python

#include "bindings.hpp"

NB_MODULE(_core, module) {
  // Modules that torch's own tables hold until the process ends hold observers of ours: no leak.
  nanobind::set_leak_warnings(false);
  module.doc() = "The C++ core of openenn: graph, quantizer, partitioner, compiler and runtime.";
  enn::python::bind_errors(module);
  enn::python::bind_operators(module);
  enn::python::bind_explanation(module);
  enn::python::bind_graph(module);
  enn::python::bind_exported_program(module);
  enn::python::bind_quantizer(module);
  enn::python::bind_partitioner(module);
  enn::python::bind_compiler(module);
  enn::python::bind_lowering(module);
  enn::python::bind_program(module);
  enn::python::bind_pt2e(module);
  enn::python::bind_analysis(module);
  enn::python::bind_search(module);
  enn::python::bind_symbolic(module);
}

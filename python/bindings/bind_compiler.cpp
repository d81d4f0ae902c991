#include <nanobind/stl/function.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <functional>

#include "bindings.hpp"
#include "compiler/compiler.hpp"

namespace enn::python {

namespace {

using PassCallback = std::function<void(std::string, std::string)>;
using PassTimings = std::vector<std::pair<std::string, double>>;

std::pair<nb::bytes, PassTimings> compile_graph(const Graph& graph,
                                                std::vector<std::string> disabled_passes,
                                                const PassCallback& after_pass, bool source_lines,
                                                std::vector<DimOrder> input_orders,
                                                std::vector<DimOrder> output_orders) {
  CompileOptions options;
  options.source_lines = source_lines;
  options.input_orders = std::move(input_orders);
  options.output_orders = std::move(output_orders);
  options.disabled_passes = std::move(disabled_passes);
  if (after_pass) {
    options.after_pass = [&after_pass](std::string_view pass, const Graph& state) {
      const nb::gil_scoped_acquire gil;
      after_pass(std::string(pass), print(state));
    };
  }
  const auto compile_without_gil = [&] {
    const nb::gil_scoped_release no_gil;
    return compile(graph, options);
  };
  const CompiledProgram program = take(compile_without_gil());
  PassTimings passes;
  for (const PassTiming& pass : program.passes)
    passes.emplace_back(std::string(pass.name), pass.milliseconds);
  return {nb::bytes(program.bytes.data(), program.bytes.size()), std::move(passes)};
}

}  // namespace

void bind_compiler(nb::module_& module) {
  module.def(
      "pass_names",
      [] {
        std::vector<std::string> names;
        for (const std::string_view name : pass_names()) names.emplace_back(name);
        return names;
      },
      "Names of the compiler's passes, in order.");
  module.def("compile", &compile_graph, nb::arg("graph"),
             nb::arg("disabled_passes") = std::vector<std::string>(),
             nb::arg("after_pass").none() = nb::none(), nb::arg("source_lines") = false,
             nb::arg("input_orders") = std::vector<DimOrder>(),
             nb::arg("output_orders") = std::vector<DimOrder>(),
             "The program's bytes and [(pass, milliseconds)]. after_pass(name, text of the graph) "
             "is called after each pass. With source_lines the steps name their lines of the eager "
             "model. The orders are those of the dimensions of inputs and outputs in memory, empty "
             "for that of the shape.");
}

}  // namespace enn::python

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "enn/exported_program.hpp"
#include "ir/graph.hpp"
#include "lowering/lowering.hpp"
#include "lowering/pte_reader.hpp"

namespace enn::python {
namespace {

using PyCompileSpec = std::pair<std::string, nb::bytes>;

std::span<const std::byte> span_of(const nb::bytes& bytes) {
  return {static_cast<const std::byte*>(bytes.data()), bytes.size()};
}

nb::bytes bytes_of(std::span<const std::byte> bytes) {
  return nb::bytes(bytes.data(), bytes.size());
}

std::vector<CompileSpec> compile_specs(const std::vector<PyCompileSpec>& specs) {
  std::vector<CompileSpec> out;
  for (const auto& [key, value] : specs) {
    const auto bytes = span_of(value);
    out.push_back({key, {bytes.begin(), bytes.end()}});
  }
  return out;
}

std::pair<nb::bytes, nb::bytes> lower_pt2(const nb::bytes& archive,
                                          const std::vector<PyCompileSpec>& specs) {
  const EnnPartitioner partitioner(compile_specs(specs));
  const auto lower = [&]() -> Result<std::pair<EdgeProgram, ExecutorchProgram>> {
    const nb::gil_scoped_release no_gil;
    ENN_ASSIGN(const ExportedProgram exported, ExportedProgram::parse(span_of(archive)));
    ENN_ASSIGN(EdgeProgram edge, to_edge_transform_and_lower(exported, partitioner));
    ENN_ASSIGN(ExecutorchProgram program, edge.to_executorch());
    return std::pair(std::move(edge), std::move(program));
  };
  const auto [edge, program] = take(lower());
  return {bytes_of(program.bytes()), bytes_of(edge.payload())};
}

using PyMethod =
    std::tuple<std::string, std::vector<std::string>, std::vector<std::string>,
               std::vector<std::pair<std::string, nb::bytes>>, std::vector<std::string>>;

std::vector<std::string> texts(const std::vector<std::optional<TensorType>>& types) {
  std::vector<std::string> out;
  for (const auto& type : types) out.push_back(type ? to_string(*type) : "");
  return out;
}

std::vector<PyMethod> methods_of(const nb::bytes& file) {
  std::vector<PyMethod> out;
  for (const PteMethod& method : take(read_pte(span_of(file)))) {
    std::vector<std::pair<std::string, nb::bytes>> delegates;
    for (const PteDelegate& delegate : method.delegates)
      delegates.emplace_back(delegate.id, bytes_of(delegate.payload));
    out.emplace_back(method.name, texts(method.inputs), texts(method.outputs), std::move(delegates),
                     method.operators);
  }
  return out;
}

}  // namespace

void bind_lowering(nb::module_& module) {
  module.attr("COMPILE_OPTIONS_KEY") = nb::str(kCompileOptions.data(), kCompileOptions.size());
  module.def(
      "gen_samsung_backend_compile_spec",
      [](const std::string& chipset, int perf_mode) {
        const CompileSpec spec = take(
            gen_samsung_backend_compile_spec(chipset, static_cast<PerformanceMode>(perf_mode)));
        return PyCompileSpec(spec.key, bytes_of(spec.value));
      },
      nb::arg("chipset"), nb::arg("perf_mode"), "Key and value of a compile specification.");
  module.def(
      "check_compile_specs",
      [](const std::vector<PyCompileSpec>& specs) {
        check(check_compile_specs(compile_specs(specs)));
      },
      nb::arg("specs"),
      "Raises InvalidArgumentError when one of [(key, value)] is not what "
      "gen_samsung_backend_compile_spec gives.");
  module.def(
      "source_lines_compile_spec",
      [] {
        const CompileSpec spec = source_lines_compile_spec();
        return PyCompileSpec(spec.key, bytes_of(spec.value));
      },
      "Key and value of the specification that asks for lines of the eager model.");
  module.def(
      "asks_for_source_lines",
      [](const std::vector<PyCompileSpec>& specs) {
        return asks_for_source_lines(compile_specs(specs));
      },
      nb::arg("specs"), "Whether that specification is among [(key, value)].");
  module.def("lower_pt2", &lower_pt2, nb::arg("archive"),
             nb::arg("compile_specs") = std::vector<PyCompileSpec>(),
             "The .pte of a .pt2 archive, and the bytes that the delegate loads from it.");
  module.def("read_pte", &methods_of, nb::arg("file"),
             "[(method, inputs, outputs, [(delegate, payload)], operators)] of a .pte.");
}

}  // namespace enn::python

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arguments.hpp"
#include "base/expression.hpp"
#include "bindings.hpp"
#include "compiler/compiler.hpp"
#include "enn/program.hpp"
#include "symbolic/symbolic_graph.hpp"

namespace enn::python {

namespace {

// An integer over symbols, as sympy's srepr writes it.
struct Expression {
  std::string text;
};

// (dtype, sizes): each an integer or an Expression.
using PySymbolicType = std::pair<std::string, std::vector<nb::object>>;

SymbolicInteger symbolic_integer(nb::handle value) {
  if (nb::isinstance<Expression>(value)) return {0, nb::cast<Expression>(value).text};
  return {nb::cast<std::int64_t>(value), {}};
}

std::vector<SymbolicInteger> symbolic_integers(nb::handle items) {
  std::vector<SymbolicInteger> out;
  for (nb::handle item : items) out.push_back(symbolic_integer(item));
  return out;
}

SymbolicType symbolic_type(const PySymbolicType& type, const std::string& what) {
  SymbolicType out{tensor_type({type.first, {}}, what).dtype, {}};
  for (const nb::object& size : type.second) out.sizes.push_back(symbolic_integer(size));
  return out;
}

bool holds_expression(nb::handle value) {
  if (nb::isinstance<Expression>(value)) return true;
  if (PyList_Check(value.ptr()) == 0) return false;
  for (nb::handle item : value) {
    if (nb::isinstance<Expression>(item)) return true;
  }
  return false;
}

std::vector<ValueId> add_symbolic_call(SymbolicGraph& graph, std::string target, std::string name,
                                       const PyArguments& arguments,
                                       const std::vector<PySymbolicType>& results, Origin origin) {
  SymbolicCall call;
  call.call = {std::move(target), std::move(name), {}, {}, std::move(origin)};
  for (const auto& [key, value] : arguments) {
    if (!holds_expression(value)) {
      call.call.arguments.emplace_back(key, argument(key, value));
    } else if (nb::isinstance<Expression>(value)) {
      call.arguments.push_back({key, {symbolic_integer(value)}, false});
    } else {
      call.arguments.push_back({key, symbolic_integers(value), true});
    }
  }
  for (const PySymbolicType& result : results)
    call.results.push_back(symbolic_type(result, str("node '", call.call.name, "'")));
  const std::size_t count = call.results.size();
  const ValueId first = graph.add_call(std::move(call));
  std::vector<ValueId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(first + static_cast<ValueId>(i));
  return out;
}

}  // namespace

void bind_symbolic(nb::module_& module) {
  nb::class_<Expression>(module, "Expression",
                         "An integer over symbols, as sympy's srepr writes it.")
      .def(
          "__init__",
          [](Expression* self, std::string text) { new (self) Expression{std::move(text)}; },
          nb::arg("text"))
      .def_ro("text", &Expression::text);

  module.def(
      "is_expression", [](const std::string& text) { return symbols_of(text).has_value(); },
      nb::arg("text"), "Whether the engine computes it once it knows the symbols.");

  nb::class_<SymbolicGraph>(module, "SymbolicGraph",
                            "The calls of a partition whose sizes only a run knows.")
      .def(nb::init<>())
      .def(
          "add_input",
          [](SymbolicGraph& graph, std::string name, const PySymbolicType& type) {
            SymbolicType checked = symbolic_type(type, str("input '", name, "'"));
            return graph.add_input(std::move(name), std::move(checked));
          },
          nb::arg("name"), nb::arg("type"))
      .def(
          "add_integer_input",
          [](SymbolicGraph& graph, std::string name, nb::handle value) {
            graph.add_integer_input(std::move(name), symbolic_integer(value));
          },
          nb::arg("name"), nb::arg("value"))
      .def(
          "add_constant",
          [](SymbolicGraph& graph, std::string name, const PyTensorType& type,
             const ConstantBytes& bytes) {
            auto [checked, data] = constant(name, type, bytes);
            return graph.add_constant(std::move(name), std::move(checked), std::move(data));
          },
          nb::arg("name"), nb::arg("type"), nb::arg("bytes"))
      .def("add_call", &add_symbolic_call, nb::arg("target"), nb::arg("name"), nb::arg("arguments"),
           nb::arg("results"), nb::arg("origin") = Origin(), "The values that the call gives.")
      .def("set_outputs", &SymbolicGraph::set_outputs, nb::arg("values"))
      .def("set_orders", &SymbolicGraph::set_orders, nb::arg("inputs"), nb::arg("outputs"))
      .def(
          "check",
          [](const SymbolicGraph& graph, const std::vector<Shape>& sizes) {
            check(compile(take(graph.bind(sizes, LoadOptions().max_memory_bytes))).status());
          },
          nb::arg("sizes"), "Compiles the graph for inputs of these sizes; raises what fails.")
      .def(
          "write",
          [](const SymbolicGraph& graph, bool source_lines) {
            const std::vector<std::byte> payload = graph.write(source_lines);
            return nb::bytes(payload.data(), payload.size());
          },
          nb::arg("source_lines") = false, "The payload that the delegate runs.");
}

}  // namespace enn::python

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#include "archive/module_stack.hpp"
#include "archive/source_line.hpp"
#include "arguments.hpp"
#include "bindings.hpp"
#include "ir/graph.hpp"
#include "ops/common.hpp"
#include "ops/decompositions/decompositions.hpp"
#include "ops/import.hpp"

namespace enn::python {

namespace {

constexpr float kOne = 1.0F;

ValueId add_constant(Graph& graph, std::string name, const PyTensorType& type,
                     const ConstantBytes& bytes) {
  auto [checked, data] = constant(name, type, bytes);
  return graph.add_constant(std::move(name), std::move(checked), std::move(data));
}

// Stands for a constant whose values are not known yet, only its type: 1.0 in float32, which is a
// valid scale, and 0 in integers, which is a valid zero point.
ValueId add_unknown_constant(Graph& graph, std::string name, const PyTensorType& py_type) {
  auto [type, data] = zero_constant(name, py_type);
  if (type.dtype == DType::Float32) {
    for (std::size_t i = 0; i < data->size(); i += sizeof(float))
      std::memcpy(data->data() + i, &kOne, sizeof(float));
  }
  return graph.add_constant(std::move(name), std::move(type), std::move(data));
}

Call make_call(std::string target, std::string name, const PyArguments& arguments,
               const std::vector<PyTensorType>& results, Origin origin) {
  Call call{std::move(target), std::move(name), {}, {}, std::move(origin)};
  for (const auto& [key, value] : arguments) call.arguments.emplace_back(key, argument(key, value));
  for (const auto& result : results)
    call.results.push_back(tensor_type(result, str("node '", call.name, "'")));
  return call;
}

std::pair<NodeId, std::vector<ValueId>> add_call(Graph& graph, std::string target, std::string name,
                                                 const PyArguments& arguments,
                                                 const std::vector<PyTensorType>& results,
                                                 Origin origin, bool interpret,
                                                 std::vector<ValueId> after) {
  Call call = make_call(std::move(target), std::move(name), arguments, results, std::move(origin));
  call.after = std::move(after);
  const NodeId id = interpret ? take(import_call(graph, call)) : import_uninterpreted(graph, call);
  return {id, graph.node(id).outputs};
}

// (target, name, arguments, data of a constant, its type): one step as Python sees it.
using PyStep = std::tuple<std::string, std::string, PyArguments, nb::bytes, PyTensorType>;

std::optional<std::pair<std::vector<PyStep>, std::vector<ValueId>>> decompose_call(
    const Graph& graph, std::string target, std::string name, const PyArguments& arguments,
    const std::vector<PyTensorType>& results) {
  const Call call = make_call(std::move(target), std::move(name), arguments, results, {});
  const auto decomposition = take(decompose(graph, call));
  if (!decomposition) return std::nullopt;
  std::vector<PyStep> out;
  for (const DecompositionStep& step : decomposition->steps) {
    PyArguments values;
    for (const auto& [key, value] : step.call.arguments) {
      values.emplace_back(key, std::visit([](const auto& item) { return nb::cast(item); }, value));
    }
    const auto size = step.data != nullptr ? step.data->size() : 0;
    out.emplace_back(step.call.target, step.call.name, std::move(values),
                     nb::bytes(size > 0 ? step.data->data() : nullptr, size),
                     py_tensor_type(step.type()));
  }
  return std::pair(std::move(out), decomposition->results);
}

}  // namespace

void bind_graph(nb::module_& module) {
  nb::class_<TensorArgument>(module, "Tensor",
                             "A tensor argument of a call: the number of a value of the graph.")
      .def(
          "__init__", [](TensorArgument* self, ValueId id) { new (self) TensorArgument{id}; },
          nb::arg("id"))
      .def_ro("id", &TensorArgument::id);

  nb::class_<SymbolArgument>(module, "Symbol",
                             "An argument of a call that the graph computes from sizes or values.")
      .def(
          "__init__",
          [](SymbolArgument* self, std::string name, std::vector<ValueId> sources) {
            new (self) SymbolArgument{std::move(name), std::move(sources)};
          },
          nb::arg("name"), nb::arg("sources"), "`sources`: the values that it is computed from.")
      .def_ro("name", &SymbolArgument::name)
      .def_ro("sources", &SymbolArgument::sources);

  nb::class_<Origin>(module, "Origin", "Where in the eager model a node comes from.")
      .def(
          "__init__",
          [](Origin* self, const std::string& stack_trace,
             const std::vector<std::pair<std::string, std::string>>& modules) {
            new (self) Origin{source_line(stack_trace), {}};
            for (const auto& [path, type] : modules)
              self->modules.push_back(module_call(path, type));
          },
          nb::arg("stack_trace"), nb::arg("modules"),
          "A Python stack trace, and [(path, class)] of the modules, outermost first.")
      .def_ro("source", &Origin::source);

  nb::class_<Graph>(module, "Graph",
                    "A graph of the IR, built call by call in the order of execution.")
      .def(nb::init<>())
      .def(
          "add_input",
          [](Graph& graph, std::string name, const PyTensorType& type) {
            TensorType checked = tensor_type(type, str("input '", name, "'"));
            return graph.add_input(std::move(name), std::move(checked));
          },
          nb::arg("name"), nb::arg("type"))
      .def("add_constant", &add_constant, nb::arg("name"), nb::arg("type"), nb::arg("bytes"))
      .def("add_unknown_constant", &add_unknown_constant, nb::arg("name"), nb::arg("type"),
           "Adds a constant of which only the type is known; enough to ask what the engine takes.")
      .def("add_call", &add_call, nb::arg("target"), nb::arg("name"), nb::arg("arguments"),
           nb::arg("results"), nb::arg("origin") = Origin(), nb::arg("interpret") = true,
           nb::arg("after") = std::vector<ValueId>(),
           "Imports the call of an ATen overload; returns the node and its values. Uninterpreted, "
           "it stays the call that it is. `after`: the sizes that it comes after.")
      .def(
          "add_size",
          [](Graph& graph, std::string name, const std::vector<ValueId>& sources) {
            const NodeId id = add_size(graph, std::move(name), sources);
            return std::pair(id, graph.node(id).outputs.front());
          },
          nb::arg("name"), nb::arg("sources"),
          "An integer that is computed from sizes, for graphs that are partitioned; returns the "
          "node and its value.")
      .def("set_outputs", &Graph::set_outputs, nb::arg("values"))
      .def("is_constant_expression", &is_constant_expression, nb::arg("value"),
           "Whether a value is a constant or computed from constants when compiling.")
      .def("verify", [](const Graph& graph) { check(verify(graph)); })
      .def("__str__", [](const Graph& graph) { return print(graph); })
      .def_static(
          "parse", [](const std::string& text) { return take(parse(text)); }, nb::arg("text"));

  module.attr("DYNAMIC_SIZE") = kDynamicSize;
  module.attr("MADE_TENSOR") = kMadeTensor;
  nb::list listed;
  for (const std::string_view target : composites()) listed.append(nb::str(target.data()));
  module.attr("COMPOSITES") = nb::tuple(listed);
  module.def("decompose", &decompose_call, nb::arg("graph"), nb::arg("target"), nb::arg("name"),
             nb::arg("arguments"), nb::arg("results"),
             "The steps [(target, name, arguments, data, type)] that stand for the call of one of "
             "COMPOSITES, and the tensors that stand for its results; or None. A step without a "
             "target is a constant. Tensors from MADE_TENSOR on are results of steps.");
}

}  // namespace enn::python

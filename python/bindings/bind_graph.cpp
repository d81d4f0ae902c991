#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#include "bindings.hpp"
#include "ir/graph.hpp"
#include "ops/import.hpp"
#include "ops/matmul/decompose_attention.hpp"

namespace enn::python {

namespace {

using ConstantBytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr float kOne = 1.0F;

// A constant's type and zeros for its values.
std::pair<TensorType, std::shared_ptr<std::vector<std::byte>>> zeros(std::string_view name,
                                                                     const PyTensorType& py_type) {
  TensorType type = tensor_type(py_type, str("constant '", name, "'"));
  const auto count = checked_numel(type.shape);
  if (!count) raise(error(Code::InvalidArgument, "constant '", name, "' has an impossible shape"));
  auto data = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(*count) *
                                                       size_of(type.dtype));
  return {std::move(type), std::move(data)};
}

ValueId add_constant(Graph& graph, std::string name, const PyTensorType& py_type,
                     const ConstantBytes& bytes) {
  auto [type, data] = zeros(name, py_type);
  if (data->size() != bytes.nbytes()) {
    raise(error(Code::InvalidArgument, "constant '", name, "' of type ", to_string(type), " has ",
                bytes.nbytes(), " bytes, expected ", data->size()));
  }
  if (!data->empty()) std::memcpy(data->data(), bytes.data(), data->size());
  return graph.add_constant(std::move(name), std::move(type), std::move(data));
}

// Stands for a constant whose values are not known yet, only its type: 1.0 in float32, which is a
// valid scale, and 0 in integers, which is a valid zero point.
ValueId add_unknown_constant(Graph& graph, std::string name, const PyTensorType& py_type) {
  auto [type, data] = zeros(name, py_type);
  if (type.dtype == DType::Float32) {
    for (std::size_t i = 0; i < data->size(); i += sizeof(float))
      std::memcpy(data->data() + i, &kOne, sizeof(float));
  }
  return graph.add_constant(std::move(name), std::move(type), std::move(data));
}

// Python's bool is an int and an int is accepted as a float, so the order of the tests matters.
template <typename T>
std::vector<T> list_of(nb::handle items) {
  std::vector<T> values;
  for (nb::handle item : items) values.push_back(nb::cast<T>(item));
  return values;
}

Argument list_argument(const std::string& name, nb::handle items) {
  bool tensors = false;
  bool numbers = false;
  for (nb::handle item : items) {
    tensors |= nb::isinstance<TensorArgument>(item) || item.is_none();
    numbers |= PyFloat_Check(item.ptr()) != 0;
    if (!tensors && !numbers && PyLong_Check(item.ptr()) == 0) {
      raise(error(Code::InvalidArgument, "argument '", name,
                  "' holds something that is neither a number nor a tensor"));
    }
  }
  if (numbers) return list_of<double>(items);
  if (!tensors) return list_of<std::int64_t>(items);
  std::vector<TensorArgument> values;
  for (nb::handle item : items) {
    values.push_back(item.is_none() ? TensorArgument{} : nb::cast<TensorArgument>(item));
  }
  return values;
}

Argument argument(const std::string& name, nb::handle value) {
  if (value.is_none()) return std::monostate{};
  if (nb::isinstance<TensorArgument>(value)) return nb::cast<TensorArgument>(value);
  if (nb::isinstance<SymbolArgument>(value)) return nb::cast<SymbolArgument>(value);
  if (PyBool_Check(value.ptr())) return nb::cast<bool>(value);
  if (PyLong_Check(value.ptr())) return nb::cast<std::int64_t>(value);
  if (PyFloat_Check(value.ptr())) return nb::cast<double>(value);
  if (PyUnicode_Check(value.ptr())) return nb::cast<std::string>(value);
  if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) return list_argument(name, value);
  raise(error(Code::InvalidArgument, "argument '", name, "' has a type that no operator takes"));
}

using PyArguments = std::vector<std::pair<std::string, nb::object>>;

Call make_call(std::string target, std::string name, const PyArguments& arguments,
               const std::vector<PyTensorType>& results, std::string source) {
  Call call{std::move(target), std::move(name), {}, {}, std::move(source)};
  for (const auto& [key, value] : arguments) call.arguments.emplace_back(key, argument(key, value));
  for (const auto& result : results)
    call.results.push_back(tensor_type(result, str("node '", call.name, "'")));
  return call;
}

std::pair<NodeId, std::vector<ValueId>> add_call(Graph& graph, std::string target, std::string name,
                                                 const PyArguments& arguments,
                                                 const std::vector<PyTensorType>& results,
                                                 std::string source, bool interpret) {
  const Call call =
      make_call(std::move(target), std::move(name), arguments, results, std::move(source));
  const NodeId id = interpret ? take(import_call(graph, call)) : import_uninterpreted(graph, call);
  return {id, graph.node(id).outputs};
}

// (target, name, arguments, data of a constant, its type): one step as Python sees it.
using PyStep = std::tuple<std::string, std::string, PyArguments, nb::bytes, PyTensorType>;

std::optional<std::vector<PyStep>> decompose(const Graph& graph, std::string target,
                                             std::string name, const PyArguments& arguments,
                                             const PyTensorType& result) {
  const Call call = make_call(std::move(target), std::move(name), arguments, {result}, {});
  const auto steps = take(decompose_attention(graph, call));
  if (!steps) return std::nullopt;
  std::vector<PyStep> out;
  for (const DecompositionStep& step : *steps) {
    PyArguments values;
    for (const auto& [key, value] : step.call.arguments) {
      values.emplace_back(key, std::visit([](const auto& item) { return nb::cast(item); }, value));
    }
    const auto size = step.data != nullptr ? step.data->size() : 0;
    out.emplace_back(step.call.target, step.call.name, std::move(values),
                     nb::bytes(size > 0 ? step.data->data() : nullptr, size),
                     py_tensor_type(step.type()));
  }
  return out;
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
           nb::arg("results"), nb::arg("source") = "", nb::arg("interpret") = true,
           "Imports the call of an ATen overload; returns the node and its values. Uninterpreted, "
           "it "
           "stays the call that it is.")
      .def("set_outputs", &Graph::set_outputs, nb::arg("values"))
      .def("verify", [](const Graph& graph) { check(verify(graph)); })
      .def("__str__", [](const Graph& graph) { return print(graph); })
      .def_static(
          "parse", [](const std::string& text) { return take(parse(text)); }, nb::arg("text"));

  module.attr("DYNAMIC_SIZE") = kDynamicSize;
  module.attr("ATTENTION") = kAttentionTarget;
  module.attr("MADE_TENSOR") = kMadeTensor;
  module.def("decompose_attention", &decompose, nb::arg("graph"), nb::arg("target"),
             nb::arg("name"), nb::arg("arguments"), nb::arg("result"),
             "The steps [(target, name, arguments, data, type)] that stand for an attention, or "
             "None; a step without a target is a constant. Tensors from MADE_TENSOR on are results "
             "of steps.");
}

}  // namespace enn::python

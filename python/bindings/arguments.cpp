#include "arguments.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>

namespace enn::python {

namespace {

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

}  // namespace

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

std::pair<TensorType, std::shared_ptr<std::vector<std::byte>>> zero_constant(
    std::string_view name, const PyTensorType& py_type) {
  TensorType type = tensor_type(py_type, str("constant '", name, "'"));
  const auto count = checked_numel(type.shape);
  if (!count) raise(error(Code::InvalidArgument, "constant '", name, "' has an impossible shape"));
  auto data = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(*count) *
                                                       size_of(type.dtype));
  return {std::move(type), std::move(data)};
}

std::pair<TensorType, ConstantData> constant(std::string_view name, const PyTensorType& type,
                                             const ConstantBytes& bytes) {
  auto [checked, data] = zero_constant(name, type);
  if (data->size() != bytes.nbytes()) {
    raise(error(Code::InvalidArgument, "constant '", name, "' of type ", to_string(checked),
                " has ", bytes.nbytes(), " bytes, expected ", data->size()));
  }
  if (!data->empty()) std::memcpy(data->data(), bytes.data(), data->size());
  return {std::move(checked), std::move(data)};
}

}  // namespace enn::python

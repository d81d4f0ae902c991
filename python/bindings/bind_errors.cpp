#include "bindings.hpp"

namespace enn::python {

namespace {

// Borrowed from the module, which holds them as attributes for the life of the interpreter.
PyObject* enn_error = nullptr;
PyObject* invalid_argument_error = nullptr;

nb::object new_exception(nb::module_& module, const char* name, const char* doc, nb::handle bases) {
  const std::string qualified = str("openenn.", name);
  nb::object type =
      nb::steal(PyErr_NewExceptionWithDoc(qualified.c_str(), doc, bases.ptr(), nullptr));
  if (!type.is_valid()) throw nb::python_error();
  module.attr(name) = type;
  return type;
}

}  // namespace

void raise(const Status& status) {
  PyErr_SetString(status.code() == Code::InvalidArgument ? invalid_argument_error : enn_error,
                  status.message().c_str());
  throw nb::python_error();
}

TensorType tensor_type(const PyTensorType& type, const std::string& what) {
  const auto dtype = dtype_from_string(type.first);
  if (!dtype)
    raise(error(Code::InvalidArgument, what, " has the element type ", type.first,
                ", which this engine does not know"));
  return {*dtype, type.second};
}

PyTensorType py_tensor_type(const TensorType& type) {
  return {std::string(to_string(type.dtype)), type.shape};
}

void bind_errors(nb::module_& module) {
  enn_error = new_exception(module, "EnnError",
                            "What the engine refuses, in one sentence that names the thing.",
                            nb::handle(PyExc_RuntimeError))
                  .ptr();
  invalid_argument_error =
      new_exception(module, "InvalidArgumentError", "An argument that is not allowed.",
                    nb::make_tuple(nb::handle(enn_error), nb::handle(PyExc_ValueError)))
          .ptr();
}

}  // namespace enn::python

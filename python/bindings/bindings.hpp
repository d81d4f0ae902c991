// Shared by the binding files: nothing here but translation between the core's types and Python's.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <utility>
#include <vector>

#include "enn/result.hpp"
#include "enn/tensor_type.hpp"

namespace enn::python {

namespace nb = nanobind;

// (dtype, shape), e.g. ("float32", [1, 3, 224, 224]).
using PyTensorType = std::pair<std::string, std::vector<std::int64_t>>;

// Raises openenn.EnnError, or InvalidArgumentError (also a ValueError) for Code::InvalidArgument.
[[noreturn]] void raise(const Status& status);

inline void check(const Status& status) {
  if (!status.ok()) raise(status);
}

template <typename T>
[[nodiscard]] T take(Result<T> result) {
  if (!result.ok()) raise(result.status());
  return std::move(result).value();
}

// `what` names the tensor in the message when the dtype is not one of the core's.
[[nodiscard]] TensorType tensor_type(const PyTensorType& type, const std::string& what);
[[nodiscard]] PyTensorType py_tensor_type(const TensorType& type);

void bind_analysis(nb::module_& module);
void bind_errors(nb::module_& module);
void bind_operators(nb::module_& module);
void bind_explanation(nb::module_& module);
void bind_graph(nb::module_& module);
void bind_exported_program(nb::module_& module);
void bind_quantizer(nb::module_& module);
void bind_partitioner(nb::module_& module);
void bind_compiler(nb::module_& module);
void bind_lowering(nb::module_& module);
void bind_program(nb::module_& module);
void bind_pt2e(nb::module_& module);
void bind_search(nb::module_& module);
void bind_symbolic(nb::module_& module);

}  // namespace enn::python

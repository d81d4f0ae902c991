// Arrays of Python (numpy, torch) as the core's tensors, and back.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <vector>

#include "bindings.hpp"
#include "enn/exported_program.hpp"
#include "enn/tensor.hpp"
#include "ir/graph.hpp"

namespace enn::python {

using InputArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using OutputArray = nb::ndarray<nb::numpy>;

[[nodiscard]] nb::dlpack::dtype dlpack_dtype(DType dtype);

// The arrays as they lie, of whatever type they are of.
[[nodiscard]] std::vector<TensorView> tensor_views(const std::vector<InputArray>& arrays);

// A new array with the tensor's bytes, which are not copied.
[[nodiscard]] OutputArray to_array(Tensor tensor);
[[nodiscard]] std::vector<OutputArray> to_arrays(std::vector<Tensor> tensors);

// Names and types of values of a graph.
[[nodiscard]] std::vector<NamedType> types_of(const Graph& graph, const std::vector<ValueId>& ids);

}  // namespace enn::python

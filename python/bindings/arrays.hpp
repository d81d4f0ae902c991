// Arrays of Python (numpy, torch) as the core's tensors, and back.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <vector>

#include "bindings.hpp"
#include "enn/tensor.hpp"

namespace enn::python {

using InputArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using OutputArray = nb::ndarray<nb::numpy>;

[[nodiscard]] nb::dlpack::dtype dlpack_dtype(DType dtype);

// The arrays as they lie, of whatever type they are of.
[[nodiscard]] std::vector<TensorView> tensor_views(const std::vector<InputArray>& arrays);

// A new array with the tensor's bytes, which are not copied.
[[nodiscard]] OutputArray to_array(Tensor tensor);

}  // namespace enn::python

// What calls and graphs are built from, as Python passes it.
#pragma once

#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "ops/import.hpp"

namespace enn::python {

using ConstantBytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using PyArguments = std::vector<std::pair<std::string, nb::object>>;

// Raises when `value` is nothing that an operator takes; `name` is the argument's.
[[nodiscard]] Argument argument(const std::string& name, nb::handle value);

// A constant's type and zeros for its values.
[[nodiscard]] std::pair<TensorType, std::shared_ptr<std::vector<std::byte>>> zero_constant(
    std::string_view name, const PyTensorType& type);
// A constant's type and its values; raises when their bytes are not those of the type.
[[nodiscard]] std::pair<TensorType, ConstantData> constant(std::string_view name,
                                                           const PyTensorType& type,
                                                           const ConstantBytes& bytes);

}  // namespace enn::python

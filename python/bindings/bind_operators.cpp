#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "base/cpu_features.hpp"
#include "bindings.hpp"
#include "ops/import.hpp"
#include "ops/ops.hpp"

namespace enn::python {

namespace {

using OperatorRow = std::tuple<std::string, std::string, std::string>;

std::vector<OperatorRow> operator_rows() {
  std::vector<OperatorRow> rows;
  for (const OverloadInfo& overload : overloads()) {
    rows.emplace_back(std::string(overload.target), std::string(to_string(overload.op)),
                      std::string(family(overload.op)));
  }
  return rows;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const std::string_view name : isa_names()) {
    if (features_of_isa(name).ok()) names.emplace_back(name);
  }
  return names;
}

std::vector<std::string> all_isas() {
  std::vector<std::string> names;
  for (const std::string_view name : isa_names()) names.emplace_back(name);
  return names;
}

}  // namespace

void bind_operators(nb::module_& module) {
  module.def(
      "operators", &operator_rows,
      "The table of operators: (ATen overload, operator of the IR, family) for each overload.");
  module.def("isa_names", &all_isas, "The levels that ENN_ISA takes.");
  module.def("supported_isas", &supported_isas, "The levels of isa_names() that this CPU can run.");
}

}  // namespace enn::python

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "ir/explanation.hpp"

namespace enn::python {

void bind_explanation(nb::module_& module) {
  nb::class_<Explanation>(module, "Explanation", "What was decided about one value or node.")
      .def_ro("kind", &Explanation::kind)
      .def_ro("name", &Explanation::name)
      .def_ro("operator", &Explanation::operator_name)
      .def_ro("source", &Explanation::source)
      .def_ro("module_path", &Explanation::module_path)
      .def_ro("decision", &Explanation::decision)
      .def_ro("operands", &Explanation::operands)
      .def_ro("result", &Explanation::result)
      .def_ro("details", &Explanation::details)
      .def_ro("reason", &Explanation::reason)
      .def_ro("advice", &Explanation::advice);
  module.def(
      "explanations_json", [](const std::vector<Explanation>& rows) { return to_json(rows); },
      nb::arg("rows"));
  module.def(
      "explanations_table", [](const std::vector<Explanation>& rows) { return to_table(rows); },
      nb::arg("rows"));
  module.def("in_one_line", &in_one_line, nb::arg("facts"));
}

}  // namespace enn::python

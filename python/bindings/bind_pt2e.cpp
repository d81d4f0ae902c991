#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "enn/parallel.hpp"
#include "quantizer/json.hpp"
#include "pt2e/observer.hpp"

namespace enn::python {

namespace {

using FloatArray = nb::ndarray<const float, nb::ro, nb::c_contig, nb::device::cpu>;

void observe(RangeObserver& observer, const FloatArray& values, int threads) {
  Shape shape;
  for (std::size_t i = 0; i < values.ndim(); ++i) {
    shape.push_back(static_cast<std::int64_t>(values.shape(i)));
  }
  const auto parallel = make_thread_pool(threads);
  observer.observe({values.data(), values.size()}, shape, *parallel);
}

}  // namespace

void bind_pt2e(nb::module_& module) {
  nb::class_<RangeObserver>(module, "Observer", "What is kept of the values that a tensor had.")
      .def("observe", &observe, nb::arg("values"), nb::arg("threads") = 1)
      .def("merge", [](RangeObserver& observer,
                       const RangeObserver& other) { check(observer.merge(other)); })
      .def("save", [](const RangeObserver& observer) { return observer.save().dump(); })
      .def("load",
           [](RangeObserver& observer, const std::string& state) {
             check(observer.load(take(parse_object(state, "observer's state"))));
           })
      .def(
          "qparams",
          [](const RangeObserver& observer) {
            const QuantParams params = take(observer.qparams());
            return std::pair(params.scales, params.zero_points);
          },
          "Scales and zero points, one of each per channel.");
  module.def(
      "make_observer", [](const QuantizationSpec& spec) { return take(make_observer(spec)); },
      nb::arg("spec"));
}

}  // namespace enn::python

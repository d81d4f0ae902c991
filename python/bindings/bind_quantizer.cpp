#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "bindings.hpp"
#include "pt2e/bias_correction.hpp"
#include "pt2e/weight_rounding.hpp"
#include "quantizer/explain.hpp"
#include "quantizer/quantizer.hpp"

namespace enn::python {

namespace {

using OperandSpecs = std::vector<std::pair<ValueId, Spec>>;
using InputSpecs = std::vector<std::pair<ValueId, Spec>>;
using NodeSpecs = std::vector<std::tuple<NodeId, OperandSpecs, std::optional<Spec>>>;

std::tuple<InputSpecs, NodeSpecs, std::vector<BiasCorrection>, std::vector<WeightRounding>>
annotate_graph(const EnnQuantizer& quantizer, const Graph& graph) {
  if (quantizer.repairs()) raise(error(Code::InvalidArgument, repairs_need_all_samples()));
  check(verify(graph));
  check(check_not_quantized(graph));
  check(quantizer.check_patterns(graph));
  const Annotations annotations = quantizer.annotate(graph);
  InputSpecs inputs;
  for (const ValueId id : graph.inputs()) {
    if (const auto& spec = annotations.input(id)) inputs.emplace_back(id, *spec);
  }
  NodeSpecs nodes;
  for (const NodeId id : graph.order()) {
    if (const auto& annotation = annotations.node(id)) {
      nodes.emplace_back(id, annotation->inputs, annotation->output);
    }
  }
  return {std::move(inputs), std::move(nodes), bias_corrections(graph, quantizer, annotations),
          weight_roundings(graph, quantizer, annotations)};
}

std::string name_of(QScheme scheme) { return std::string(to_string(scheme)); }
std::string name_of(Observer observer) { return std::string(to_string(observer)); }

QuantizationSpec make_spec(const std::string& dtype, std::int32_t quant_min, std::int32_t quant_max,
                           const std::string& qscheme, const std::string& observer, int ch_axis,
                           double eps) {
  QuantizationSpec spec;
  spec.dtype = tensor_type({dtype, {}}, "the spec").dtype;
  spec.quant_min = quant_min;
  spec.quant_max = quant_max;
  spec.qscheme = take(qscheme_from_string(qscheme));
  spec.observer = take(observer_from_string(observer));
  spec.ch_axis = ch_axis;
  spec.eps = eps;
  return spec;
}

nb::object key_of(const QuantizationSpec& spec) {
  return nb::make_tuple(std::string(to_string(spec.dtype)), spec.quant_min, spec.quant_max,
                        name_of(spec.qscheme), spec.ch_axis, name_of(spec.observer), spec.eps);
}

}  // namespace

void bind_quantizer(nb::module_& module) {
  nb::class_<QuantizationSpec>(module, "QuantizationSpec", "Quantize with an observer.")
      .def(
          "__init__",
          [](QuantizationSpec* self, const std::string& dtype, std::int32_t quant_min,
             std::int32_t quant_max, const std::string& qscheme, const std::string& observer,
             int ch_axis, double eps) {
            new (self) QuantizationSpec(
                make_spec(dtype, quant_min, quant_max, qscheme, observer, ch_axis, eps));
          },
          nb::arg("dtype"), nb::arg("quant_min"), nb::arg("quant_max"), nb::arg("qscheme"),
          nb::arg("observer"), nb::arg("ch_axis") = -1, nb::arg("eps") = QuantizationSpec().eps)
      .def_prop_ro("dtype",
                   [](const QuantizationSpec& spec) { return std::string(to_string(spec.dtype)); })
      .def_ro("quant_min", &QuantizationSpec::quant_min)
      .def_ro("quant_max", &QuantizationSpec::quant_max)
      .def_prop_ro("qscheme", [](const QuantizationSpec& spec) { return name_of(spec.qscheme); })
      .def_ro("ch_axis", &QuantizationSpec::ch_axis)
      .def_prop_ro("observer", [](const QuantizationSpec& spec) { return name_of(spec.observer); })
      .def_ro("eps", &QuantizationSpec::eps)
      .def(nb::self == nb::self)
      .def("__hash__", [](const QuantizationSpec& spec) { return nb::hash(key_of(spec)); });

  nb::class_<FixedQParamsSpec>(module, "FixedQParamsSpec", "Quantize with given parameters.")
      .def_prop_ro("dtype",
                   [](const FixedQParamsSpec& spec) { return std::string(to_string(spec.dtype)); })
      .def_ro("scale", &FixedQParamsSpec::scale)
      .def_ro("zero_point", &FixedQParamsSpec::zero_point)
      .def_ro("quant_min", &FixedQParamsSpec::quant_min)
      .def_ro("quant_max", &FixedQParamsSpec::quant_max);

  nb::class_<SharedSpec>(
      module, "SharedSpec",
      "Share the observer of the edge value -> consumer, or of the value when consumer is None.")
      .def_ro("value", &SharedSpec::value)
      .def_prop_ro("consumer", [](const SharedSpec& spec) {
        return spec.consumer == kNone ? std::nullopt : std::optional<NodeId>(spec.consumer);
      });

  module.def(
      "quantization_config",
      [](const std::string& precision, bool is_per_channel, bool is_qat) {
        const QuantizationConfig config =
            quantization_config(take(precision_from_string(precision)), is_per_channel, is_qat);
        return std::pair(config.activation, config.weight);
      },
      nb::arg("precision"), nb::arg("is_per_channel"), nb::arg("is_qat"),
      "The specs of activations and of weights.");

  nb::class_<EnnQuantizer>(module, "EnnQuantizer",
                           "Decides which values of a graph are quantized, and how.")
      .def(
          "__init__",
          [](EnnQuantizer* self, const std::string& compatibility) {
            new (self) EnnQuantizer(take(compatibility_from_string(compatibility)));
          },
          nb::arg("compatibility") = "DEFAULT")
      .def(
          "set_quant_params",
          [](EnnQuantizer& quantizer, const std::string& precision, bool is_per_channel,
             bool is_qat) {
            quantizer.set_quant_params(take(precision_from_string(precision)), is_per_channel,
                                       is_qat);
          },
          nb::arg("precision"), nb::arg("is_per_channel"), nb::arg("is_qat"))
      .def("set_observer",
           [](EnnQuantizer& quantizer, std::string_view observer) {
             check(quantizer.set_observer(observer));
           })
      .def("set_observer_for_operator",
           [](EnnQuantizer& quantizer, std::string_view op, std::string_view observer) {
             check(quantizer.set_observer_for_operator(op, observer));
           })
      .def("set_observer_for_node",
           [](EnnQuantizer& quantizer, std::string_view pattern, std::string_view observer) {
             check(quantizer.set_observer_for_node(pattern, observer));
           })
      .def("set_bias_correction", &EnnQuantizer::set_bias_correction, nb::arg("enabled"))
      .def("set_repair", &EnnQuantizer::set_repair, nb::arg("enabled"))
      .def_prop_ro("repairs", &EnnQuantizer::repairs)
      .def(
          "set_weight_rounding",
          [](EnnQuantizer& quantizer, const std::string& rounding) {
            check(quantizer.set_weight_rounding(rounding));
          },
          nb::arg("rounding"))
      .def(
          "set_guard",
          [](EnnQuantizer& quantizer, std::optional<double> least_sqnr) {
            check(quantizer.set_guard(least_sqnr));
          },
          nb::arg("least_sqnr").none())
      .def_prop_ro("guard", &EnnQuantizer::guard)
      .def("set_observer_for_module",
           [](EnnQuantizer& quantizer, std::string_view pattern, std::string_view observer) {
             check(quantizer.set_observer_for_module(pattern, observer));
           })
      .def("exclude_node", &EnnQuantizer::exclude_node)
      .def("exclude_module", &EnnQuantizer::exclude_module)
      .def("absent_operators", &EnnQuantizer::absent_operators, nb::arg("graph"),
           "The operators of the settings that the graph does not have.")
      .def("exclude_operator", [](EnnQuantizer& quantizer,
                                  std::string_view op) { check(quantizer.exclude_operator(op)); })
      .def("to_json", &EnnQuantizer::to_json)
      .def_static("from_json",
                  [](std::string_view json) { return take(EnnQuantizer::from_json(json)); })
      .def_prop_ro("is_qat", &EnnQuantizer::is_qat)
      .def(
          "explain",
          [](const EnnQuantizer& quantizer, const Graph& graph, const std::vector<NodeId>& kept) {
            check(verify(graph));
            return explain(graph, quantizer.annotate(graph), kept);
          },
          nb::arg("graph"), nb::arg("kept"),
          "What is decided about each input, constant and node; `kept` are nodes whose annotation "
          "someone else made.")
      .def("annotate", &annotate_graph, nb::arg("graph"),
           "What is quantized: [(input, spec)], [(node, [(operand, spec)], spec of the result or "
           "None)]; [BiasCorrection]; and [WeightRounding]. A pattern that matches nothing is an "
           "error.");
}

}  // namespace enn::python

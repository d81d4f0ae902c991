#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <utility>

#include "analysis/analysis.hpp"
#include "arrays.hpp"
#include "bindings.hpp"
#include "ir/graph.hpp"

namespace enn::python {

namespace {

void bind_report(nb::module_& module) {
  nb::class_<ErrorFigures>(module, "ErrorFigures", "How far values are from the float model's.")
      .def_ro("sqnr", &ErrorFigures::sqnr)
      .def_ro("cosine", &ErrorFigures::cosine)
      .def_ro("max_difference", &ErrorFigures::max_difference);
  nb::class_<ValueCounts>(module, "ValueCounts", "How often values fell into equal parts.")
      .def_ro("low", &ValueCounts::low)
      .def_ro("high", &ValueCounts::high)
      .def_ro("counts", &ValueCounts::counts);
  nb::class_<QuantizedValue>(module, "QuantizedValue", "A result, an input or a weight.")
      .def_ro("name", &QuantizedValue::name)
      .def_ro("low", &QuantizedValue::low)
      .def_ro("high", &QuantizedValue::high)
      .def_ro("mean_magnitude", &QuantizedValue::mean_magnitude)
      .def_ro("chosen_low", &QuantizedValue::chosen_low)
      .def_ro("chosen_high", &QuantizedValue::chosen_high)
      .def_ro("scale", &QuantizedValue::scale)
      .def_ro("zero_point", &QuantizedValue::zero_point)
      .def_ro("clipped", &QuantizedValue::clipped)
      .def_ro("rounding", &QuantizedValue::rounding)
      .def_ro("values", &QuantizedValue::values)
      .def_ro("channel_scales", &QuantizedValue::channel_scales)
      .def_ro("channel_peaks", &QuantizedValue::channel_peaks);
  nb::class_<Remedy>(module, "Remedy", "What would help a layer.")
      .def_ro("kind", &Remedy::kind)
      .def_ro("text", &Remedy::text);
  nb::class_<LayerAnalysis>(module, "LayerAnalysis", "What quantization does to one layer.")
      .def_ro("name", &LayerAnalysis::name)
      .def_ro("nodes", &LayerAnalysis::nodes)
      .def_ro("op", &LayerAnalysis::op)
      .def_ro("target", &LayerAnalysis::target)
      .def_ro("module_path", &LayerAnalysis::module_path)
      .def_ro("source", &LayerAnalysis::source)
      .def_ro("operands", &LayerAnalysis::operands)
      .def_ro("isolated", &LayerAnalysis::isolated)
      .def_ro("accumulated", &LayerAnalysis::accumulated)
      .def_ro("own_noise", &LayerAnalysis::own_noise)
      .def_ro("contribution", &LayerAnalysis::contribution)
      .def_ro("alone", &LayerAnalysis::alone)
      .def_ro("result", &LayerAnalysis::result)
      .def_ro("weights", &LayerAnalysis::weights)
      .def_ro("reads", &LayerAnalysis::reads)
      .def_ro("remedies", &LayerAnalysis::remedies);
  nb::class_<OutputAnalysis>(module, "OutputAnalysis", "An output of the model.")
      .def_ro("name", &OutputAnalysis::name)
      .def_ro("error", &OutputAnalysis::error);
  nb::class_<AnalysisReport>(module, "AnalysisReport", "What was measured.")
      .def_ro("samples", &AnalysisReport::samples)
      .def_ro("layers", &AnalysisReport::layers)
      .def_ro("ranking", &AnalysisReport::ranking)
      .def_ro("inputs", &AnalysisReport::inputs)
      .def_ro("outputs", &AnalysisReport::outputs)
      .def_ro("programs", &AnalysisReport::programs)
      .def("to_text", &AnalysisReport::to_text, nb::arg("most") = 20)
      .def("to_json", &AnalysisReport::to_json)
      .def("to_html", &AnalysisReport::to_html, nb::arg("title"));
}

AnalysisOptions options_of(int threads, std::size_t sensitivity_samples) {
  AnalysisOptions options;
  options.model.threads = threads;
  options.sensitivity_samples = sensitivity_samples;
  return options;
}

}  // namespace

void bind_analysis(nb::module_& module) {
  bind_report(module);
  nb::class_<Analysis>(module, "Analysis", "A float model and its quantized one, side by side.")
      .def_static(
          "of_graphs",
          [](const Graph& floats, const Graph& quantized, int threads,
             std::size_t sensitivity_samples) {
            return take(analyze_graphs(floats, quantized, types_of(floats, floats.inputs()),
                                       types_of(floats, floats.outputs()), {},
                                       options_of(threads, sensitivity_samples)));
          },
          nb::arg("floats"), nb::arg("quantized"), nb::arg("threads") = 1,
          nb::arg("sensitivity_samples") = 0)
      .def_static(
          "of_programs",
          [](const ExportedProgram& floats, const ExportedProgram& quantized, int threads,
             std::size_t sensitivity_samples) {
            return take(
                Analysis::create(floats, quantized, options_of(threads, sensitivity_samples)));
          },
          nb::arg("floats"), nb::arg("quantized"), nb::arg("threads") = 1,
          nb::arg("sensitivity_samples") = 0)
      .def(
          "run",
          [](Analysis& analysis, const std::vector<InputArray>& inputs) {
            return to_arrays(take(analysis(tensor_views(inputs))));
          },
          nb::arg("inputs"))
      .def(
          "compare",
          [](Analysis& analysis, const std::string& program,
             const std::vector<InputArray>& outputs) {
            check(analysis.compare(program, tensor_views(outputs)));
          },
          nb::arg("program"), nb::arg("outputs"))
      .def("report", [](const Analysis& analysis) { return take(analysis.report()); });
}

}  // namespace enn::python

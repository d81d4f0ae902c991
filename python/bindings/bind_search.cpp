#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <utility>

#include "bindings.hpp"
#include "enn/search.hpp"
#include "ir/graph.hpp"
#include "search/macs.hpp"

namespace enn::python {

namespace {

std::string name_of(AccuracySearch::Step step) {
  switch (step) {
    case AccuracySearch::Step::MeasureFloat:
      return "float";
    case AccuracySearch::Step::Evaluate:
      return "evaluate";
    case AccuracySearch::Step::Rank:
      return "rank";
    case AccuracySearch::Step::Done:
      return "done";
  }
  return {};
}

}  // namespace

void bind_search(nb::module_& module) {
  module.attr("RANKING_SAMPLES") = kRankingSamples;
  nb::class_<SearchLayer>(module, "SearchLayer", "A layer that may be left in float.")
      .def_ro("name", &SearchLayer::name)
      .def_ro("modules", &SearchLayer::modules)
      .def_ro("nodes", &SearchLayer::nodes)
      .def_ro("contribution", &SearchLayer::contribution)
      .def_ro("macs", &SearchLayer::macs);
  nb::class_<SearchDecision>(module, "SearchDecision", "A step of a search that was kept.")
      .def_ro("what", &SearchDecision::what)
      .def_ro("why", &SearchDecision::why)
      .def_ro("metric_before", &SearchDecision::metric_before)
      .def_ro("metric_after", &SearchDecision::metric_after)
      .def("__repr__", [](const SearchDecision& decision) {
        return str(decision.what, ": ", decision.metric_before, " -> ", decision.metric_after, " (",
                   decision.why, ")");
      });
  nb::class_<SearchOutcome>(module, "SearchOutcome", "What a search ended with.")
      .def_ro("quantizer", &SearchOutcome::quantizer)
      .def_ro("float_metric", &SearchOutcome::float_metric)
      .def_ro("metric", &SearchOutcome::metric)
      .def_ro("bound", &SearchOutcome::bound)
      .def_ro("evaluations", &SearchOutcome::evaluations)
      .def_ro("layers", &SearchOutcome::layers)
      .def_ro("decisions", &SearchOutcome::decisions)
      .def("recipe", &SearchOutcome::recipe);
  nb::class_<AccuracySearch>(module, "AccuracySearch",
                             "Says which configuration is to be measured next, and is told.")
      .def_static(
          "create",
          [](const EnnQuantizer& quantizer, double max_drop, bool relative, std::size_t max_layers,
             std::size_t max_evaluations, const std::string& resume, const std::string& subject) {
            SearchOptions options;
            options.quantizer = quantizer;
            options.max_drop = max_drop;
            options.relative = relative;
            options.max_layers = max_layers;
            options.max_evaluations = max_evaluations;
            options.resume = resume;
            options.subject = subject;
            return take(AccuracySearch::create(std::move(options)));
          },
          nb::arg("quantizer"), nb::arg("max_drop"), nb::arg("relative"), nb::arg("max_layers"),
          nb::arg("max_evaluations"), nb::arg("resume"), nb::arg("subject"))
      .def_prop_ro("step", [](const AccuracySearch& search) { return name_of(search.step()); })
      .def_prop_ro("quantizer",
                   [](const AccuracySearch& search) { return EnnQuantizer(search.quantizer()); })
      .def_prop_ro("trial", &AccuracySearch::trial)
      .def_prop_ro("evaluations", &AccuracySearch::evaluations)
      .def_prop_ro("expected_evaluations", &AccuracySearch::expected_evaluations)
      .def("status", &AccuracySearch::status, nb::arg("seconds"))
      .def(
          "tell", [](AccuracySearch& search, double metric) { check(search.tell(metric)); },
          nb::arg("metric"))
      .def(
          "tell_layers",
          [](AccuracySearch& search, const AnalysisReport& report, const Graph& quantized) {
            check(search.tell(search_layers(report, quantized)));
          },
          nb::arg("report"), nb::arg("quantized"))
      .def("outcome", [](const AccuracySearch& search) { return take(search.outcome()); });
  module.def(
      "count_macs",
      [](const Graph& quantized) {
        const MacCount count = count_macs(quantized);
        return std::pair(count.all, count.in_float);
      },
      nb::arg("quantized"),
      "Multiply-adds of a quantized graph: all, and those that stay in float.");
}

}  // namespace enn::python

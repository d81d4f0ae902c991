#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "enn/model.hpp"
#include "enn/parallel.hpp"
#include "enn/pt2e.hpp"
#include "ops/constants.hpp"
#include "pt2e/bias_correction.hpp"
#include "pt2e/calibration.hpp"
#include "pt2e/equalization.hpp"
#include "pt2e/guard.hpp"
#include "pt2e/kept_samples.hpp"
#include "pt2e/observer.hpp"
#include "pt2e/range_search.hpp"
#include "pt2e/weight_rounding.hpp"
#include "quantizer/json.hpp"

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

std::pair<std::vector<float>, std::vector<std::int32_t>> numbers(const QuantParams& params) {
  return {params.scales, params.zero_points};
}

Execution execution_of(const std::string& name) {
  if (name == "qdq") return Execution::Qdq;
  if (name == "integer") return Execution::Integer;
  raise(error(Code::InvalidArgument, "execution '", printable(name),
              "' is not known; there are 'qdq' and 'integer'"));
}

// A model that runs: a graph, compiled.
std::unique_ptr<Model> compile_model(const Graph& graph, const std::string& execution,
                                     int threads) {
  ModelOptions options;
  options.execution = execution_of(execution);
  options.threads = threads;
  check(verify(graph));
  return std::make_unique<Model>(take(Model::compile_graph(
      graph, types_of(graph, graph.inputs()), types_of(graph, graph.outputs()), options)));
}

std::vector<std::vector<Tensor>> owned_samples(
    const std::vector<std::vector<InputArray>>& samples) {
  std::vector<std::vector<Tensor>> owned;
  for (const std::vector<InputArray>& sample : samples) {
    std::vector<Tensor>& tensors = owned.emplace_back();
    for (const TensorView& view : tensor_views(sample))
      tensors.push_back({view.type, {view.bytes.begin(), view.bytes.end()}});
  }
  return owned;
}

// Sees the channels of a float graph's tensors on samples, and gives the constants with which they
// are alike.
class GraphEqualizer {
 public:
  GraphEqualizer(const Graph& graph, int threads) : graph_(graph) {
    ModelOptions options;
    options.threads = threads;
    equalizer_ = std::make_unique<Equalizer>(take(Equalizer::create(
        graph, types_of(graph, graph.inputs()), types_of(graph, graph.outputs()), {}, options)));
  }

  void run(const std::vector<InputArray>& inputs) {
    (void)take((*equalizer_)(tensor_views(inputs)));
  }

  [[nodiscard]] std::vector<std::pair<ValueId, OutputArray>> constants() const {
    std::vector<std::pair<ValueId, OutputArray>> constants;
    for (auto& [id, elements] : take(equalizer_->constants()))
      constants.emplace_back(id, to_array({graph_.value(id).type, enn::bytes_of(elements)}));
    return constants;
  }

 private:
  Graph graph_;
  std::unique_ptr<Equalizer> equalizer_;
};

// A float graph with observers that someone else placed.
class Calibrator {
 public:
  using Site = std::pair<ValueId, std::size_t>;         // a value and the observer that sees it
  using Corrected = std::pair<NodeId, BiasCorrection>;  // a layer and its correction

  using Rounded = std::pair<NodeId, WeightRounding>;  // a layer and its rounding

  Calibrator(Graph graph, const std::vector<QuantizationSpec>& specs,
             const std::vector<Site>& sites, const std::vector<Corrected>& corrected,
             const std::vector<Rounded>& rounded, int threads)
      : calibration_(take(Calibration::create({specs.begin(), specs.end()}, seconds_of(corrected),
                                              seconds_of(rounded)))) {
    for (const auto& [id, observer] : sites) {
      const Value& value = graph.value(id);
      if (value.is_constant()) {
        check(calibration_.add_constant(observer, value));
      } else {
        calibration_.add_tap(observer, value.type.shape);
        (void)graph.add_tap(id);
      }
    }
    for (std::size_t i = 0; i < corrected.size(); ++i) {
      calibration_.add_tap_of_means(i);
      (void)graph.add_tap(add_channel_means(graph, corrected[i].second, corrected[i].first));
    }
    for (std::size_t i = 0; i < rounded.size(); ++i) {
      calibration_.add_tap_of_columns(i);
      (void)graph.add_tap(add_flat_input(graph, rounded[i].first));
    }
    model_ = compile_model(graph, "qdq", threads);
  }

  // Chooses the ranges of [(value, observer)] on samples (pt2e/range_search.hpp); qparams() gives
  // them. `graph` is the one that the calibrator was made of.
  void search_ranges(const Graph& graph, const std::vector<Site>& sites,
                     const std::vector<std::vector<InputArray>>& samples,
                     const std::function<void(std::size_t, std::size_t)>& progress, int threads) {
    std::vector<SearchedRange> ranges;
    std::vector<std::size_t> observers;
    for (const auto& [id, observer] : sites) {
      const auto known = std::ranges::find(observers, observer);
      const auto place = static_cast<std::size_t>(known - observers.begin());
      if (known == observers.end()) {
        observers.push_back(observer);
        ranges.push_back({{},
                          std::get<QuantizationSpec>(calibration_.group(observer)),
                          take(calibration_.qparams(observer))});
      }
      ranges[place].values.push_back(id);
    }
    ModelOptions options;
    options.threads = threads;
    const std::vector<QuantParams> found = take(
        enn::search_ranges(graph, types_of(graph, graph.inputs()), types_of(graph, graph.outputs()),
                           {}, ranges, owned_samples(samples), options, progress));
    for (std::size_t i = 0; i < observers.size(); ++i) searched_[observers[i]] = found[i];
  }

  // What was searched, else what the observer saw.
  [[nodiscard]] std::pair<std::vector<float>, std::vector<std::int32_t>> qparams(
      std::size_t observer) const {
    const auto found = searched_.find(observer);
    if (found != searched_.end()) return numbers(found->second);
    return numbers(take(calibration_.qparams(observer)));
  }

  std::vector<OutputArray> run(const std::vector<InputArray>& inputs) {
    const std::vector<TensorView> views = tensor_views(inputs);
    std::vector<Tensor> outputs = take((*model_)(views, &calibration_));
    SerialParallel serial;
    calibration_.see_constants(serial);
    samples_.add(views);
    return to_arrays(std::move(outputs));
  }

  [[nodiscard]] const KeptSamples& samples() const { return samples_; }
  // Borrowed: it lives as long as this.
  [[nodiscard]] RangeObserver& observer(std::size_t observer) {
    return *calibration_.observer(observer);
  }
  [[nodiscard]] BiasCorrection& correction(std::size_t layer) {
    return calibration_.corrections().at(layer);
  }
  [[nodiscard]] WeightRounding& rounding(std::size_t layer) {
    return calibration_.roundings().at(layer);
  }

 private:
  template <typename Item>
  static std::vector<Item> seconds_of(const std::vector<std::pair<NodeId, Item>>& layers) {
    std::vector<Item> items;
    for (const auto& [layer, item] : layers) items.push_back(item);
    return items;
  }

  Calibration calibration_;
  KeptSamples samples_;
  std::unique_ptr<Model> model_;
  std::map<std::size_t, QuantParams> searched_;  // by observer
};

// How a group of sites is quantized: dtype, quant_min, quant_max, axis or -1, whether the scale is
// given, scales, zero points.
using GroupNumbers = std::tuple<std::string, std::int32_t, std::int32_t, int, bool,
                                std::vector<float>, std::vector<std::int32_t>>;
// Value, group, number of the site that it reads, annotated readers, whether it serves all others.
using SiteNumbers =
    std::tuple<ValueId, std::size_t, std::optional<std::size_t>, std::vector<NodeId>, bool>;

Placement placement_of(const std::vector<GroupNumbers>& groups,
                       const std::vector<SiteNumbers>& sites) {
  Placement placement;
  for (const GroupNumbers& group : groups) {
    const DType dtype = tensor_type({std::get<0>(group), {}}, "a quantized value").dtype;
    if (std::get<4>(group)) {
      placement.groups.emplace_back(FixedQParamsSpec{.dtype = dtype});
    } else {
      placement.groups.emplace_back(QuantizationSpec{.dtype = dtype});
    }
  }
  for (const auto& [value, group, parent, readers, of_result] : sites)
    placement.sites.push_back({value, group, parent.value_or(kNoSite), readers, of_result});
  return placement;
}

// The guard on a graph that someone else placed observers on.
Guarded guard_graph(const Graph& graph, const std::vector<GroupNumbers>& groups,
                    const std::vector<SiteNumbers>& sites, const KeptSamples& samples,
                    double least_sqnr, int threads) {
  const Placement placement = placement_of(groups, sites);
  std::vector<QuantParams> params;
  for (const auto& [dtype, quant_min, quant_max, axis, fixed, scales, zero_points] : groups)
    params.push_back({scales, zero_points, axis, quant_min, quant_max});
  ModelOptions options;
  options.threads = threads;
  check(verify(graph));
  return guard({graph,
                types_of(graph, graph.inputs()),
                types_of(graph, graph.outputs()),
                {},
                placement,
                params},
               samples, least_sqnr, options);
}

void bind_guard(nb::module_& module) {
  nb::class_<KeptSamples>(module, "KeptSamples", "Some of the samples that were seen.")
      .def(nb::init<>())
      .def("__deepcopy__", [](const KeptSamples& samples, const nb::handle&) { return samples; })
      .def(
          "add",
          [](KeptSamples& samples, const std::vector<InputArray>& inputs) {
            samples.add(tensor_views(inputs));
          },
          nb::arg("inputs"))
      .def_prop_ro("warnings", &sample_warnings);
  nb::class_<Guarded>(module, "Guarded", "What the guard leaves in float.")
      .def_prop_ro(
          "sites",
          [](const Guarded& guarded) {
            std::vector<std::tuple<std::size_t, std::vector<NodeId>, bool>> sites;
            for (std::size_t i = 0; i < guarded.remaining.sites.size(); ++i) {
              const Site& site = guarded.remaining.sites[i];
              sites.emplace_back(guarded.remaining.numbers[i], site.readers, site.of_result);
            }
            return sites;
          },
          "Those that remain: [(number, annotated readers, whether it serves all others)].")
      .def("names_and_reasons",
           [](const Guarded& guarded, const Graph& graph) {
             return names_and_reasons(graph, guarded);
           })
      .def(
          "explain",
          [](const Guarded& guarded, const Graph& graph, std::vector<Explanation> rows) {
            explain_guarded(graph, guarded, rows);
            return rows;
          },
          nb::arg("graph"), nb::arg("rows"), "What explain() said of the graph, corrected.")
      .def_prop_ro("changes",
                   [](const Guarded& guarded) {
                     return !guarded.readers.empty() || !guarded.values.empty();
                   })
      .def_ro("warnings", &Guarded::warnings);
  module.def("guard", &guard_graph, nb::arg("graph"), nb::arg("groups"), nb::arg("sites"),
             nb::arg("samples"), nb::arg("least_sqnr"), nb::arg("threads") = 1);
}

QuantParams params_of(const QuantizationSpec& spec, std::vector<float> scales,
                      std::vector<std::int32_t> zero_points) {
  return {std::move(scales), std::move(zero_points), spec.ch_axis, spec.quant_min, spec.quant_max};
}

Shape shape_of(const FloatArray& array) {
  return {array.shape_ptr(), array.shape_ptr() + array.ndim()};
}

std::vector<float> corrected_bias(const BiasCorrection& correction, const FloatArray& bias,
                                  const FloatArray& weight, const FloatArray& rounded) {
  if (rounded.size() != weight.size()) {
    raise(error(Code::InvalidArgument, "the weight has ", weight.size(), " elements, and rounded ",
                rounded.size()));
  }
  return correction.corrected({bias.data(), bias.size()}, {weight.data(), weight.size()},
                              {rounded.data(), rounded.size()});
}

void bind_bias_correction(nb::module_& module) {
  nb::class_<BiasCorrection>(module, "BiasCorrection",
                             "The correction of a layer's bias, and the means of its input.")
      .def_prop_ro("node", &BiasCorrection::node)
      .def("save", [](const BiasCorrection& correction) { return correction.save().dump(); })
      .def("load",
           [](BiasCorrection& correction, const std::string& state) {
             check(correction.load(take(parse_object(state, "means of a layer's input"))));
           })
      .def("__deepcopy__",
           [](const BiasCorrection& correction, const nb::handle&) { return correction; })
      .def(
          "add",
          [](BiasCorrection& correction, const FloatArray& values) {
            correction.add_values({values.data(), values.size()}, shape_of(values));
          },
          nb::arg("values"))
      .def("corrected", &corrected_bias, nb::arg("bias"), nb::arg("weight"), nb::arg("rounded"));
}

void bind_weight_rounding(nb::module_& module) {
  nb::class_<WeightRounding>(
      module, "WeightRounding",
      "The learned rounding of a layer's weight, and the moments of its input.")
      .def_prop_ro("node", &WeightRounding::node)
      .def("save", [](const WeightRounding& rounding) { return rounding.save().dump(); })
      .def("load",
           [](WeightRounding& rounding, const std::string& state) {
             check(rounding.load(take(parse_object(state, "moments of a layer's input"))));
           })
      .def("__deepcopy__",
           [](const WeightRounding& rounding, const nb::handle&) { return rounding; })
      .def(
          "add",
          [](WeightRounding& rounding, const FloatArray& values) {
            SerialParallel serial;
            rounding.add({values.data(), values.size()}, serial);
          },
          nb::arg("values"))
      .def(
          "rounded",
          [](const WeightRounding& rounding, const FloatArray& weight, const QuantizationSpec& spec,
             std::vector<float> scales, std::vector<std::int32_t> zero_points) {
            return rounding.rounded({weight.data(), weight.size()},
                                    params_of(spec, std::move(scales), std::move(zero_points)));
          },
          nb::arg("weight"), nb::arg("spec"), nb::arg("scales"), nb::arg("zero_points"));
  module.def(
      "nearest_weight",
      [](const FloatArray& weight, const QuantizationSpec& spec, std::vector<float> scales,
         std::vector<std::int32_t> zero_points) {
        return nearest_weight({weight.data(), weight.size()}, shape_of(weight),
                              params_of(spec, std::move(scales), std::move(zero_points)));
      },
      nb::arg("weight"), nb::arg("spec"), nb::arg("scales"), nb::arg("zero_points"),
      "The elements of a weight, row-major, after quantizing each to its nearest integer.");
}

void bind_observers(nb::module_& module) {
  nb::enum_<Observed>(module, "Observed", "What an observer saw.")
      .value("NOTHING", Observed::Nothing)
      .value("FINITE", Observed::Finite)
      .value("NAN", Observed::Nan)
      .value("INFINITE", Observed::Infinite);
  module.def("observed_between",
             [](const std::vector<float>& lows, const std::vector<float>& highs) {
               if (lows.size() != highs.size()) {
                 raise(error(Code::InvalidArgument, "there are ", lows.size(), " lower and ",
                             highs.size(), " upper bounds"));
               }
               return observed_between(lows, highs);
             });
  module.def(
      "check_observed",
      [](const std::vector<std::pair<std::string, Observed>>& values) {
        check(check_observed(values));
      },
      nb::arg("values"),
      "Raises unless each of [(name, Observed)] is finite; names all that saw nothing.");
  nb::class_<RangeObserver>(module, "Observer", "What is kept of the values that a tensor had.")
      .def("observe", &observe, nb::arg("values"), nb::arg("threads") = 1)
      .def_prop_ro("observed", &RangeObserver::observed)
      .def("merge", [](RangeObserver& observer,
                       const RangeObserver& other) { check(observer.merge(other)); })
      .def("save", [](const RangeObserver& observer) { return observer.save().dump(); })
      .def("load",
           [](RangeObserver& observer, const std::string& state) {
             check(observer.load(take(parse_object(state, "observer's state"))));
           })
      .def(
          "qparams",
          [](const RangeObserver& observer) { return numbers(take(observer.qparams())); },
          "Scales and zero points, one of each per channel.");
  module.def(
      "make_observer", [](const QuantizationSpec& spec) { return take(make_observer(spec)); },
      nb::arg("spec"));
  nb::class_<Calibrator>(module, "Calibrator",
                         "A float graph that shows values to observers as it runs: specs of the "
                         "observers, [(value, observer)], [(layer, BiasCorrection)], and "
                         "[(layer, WeightRounding)].")
      .def(nb::init<Graph, const std::vector<QuantizationSpec>&,
                    const std::vector<Calibrator::Site>&, const std::vector<Calibrator::Corrected>&,
                    const std::vector<Calibrator::Rounded>&, int>(),
           nb::arg("graph"), nb::arg("specs"), nb::arg("sites"), nb::arg("corrected"),
           nb::arg("rounded"), nb::arg("threads") = 1)
      .def("run", &Calibrator::run, nb::arg("inputs"))
      .def("search_ranges", &Calibrator::search_ranges, nb::arg("graph"), nb::arg("sites"),
           nb::arg("samples"), nb::arg("progress"), nb::arg("threads") = 1)
      .def("qparams", &Calibrator::qparams, nb::arg("observer"))
      .def_prop_ro("samples", &Calibrator::samples, nb::rv_policy::copy)
      .def("observer", &Calibrator::observer, nb::arg("observer"),
           nb::rv_policy::reference_internal)
      .def("correction", &Calibrator::correction, nb::arg("layer"),
           nb::rv_policy::reference_internal)
      .def("rounding", &Calibrator::rounding, nb::arg("layer"), nb::rv_policy::reference_internal);
}

}  // namespace

void bind_pt2e(nb::module_& module) {
  bind_bias_correction(module);
  bind_guard(module);
  bind_weight_rounding(module);
  bind_observers(module);
  nb::class_<GraphEqualizer>(module, "Equalizer",
                             "Sees a float graph on samples; constants() gives those with which "
                             "its channels are alike, [(value, elements)].")
      .def(nb::init<const Graph&, int>(), nb::arg("graph"), nb::arg("threads") = 1)
      .def("run", &GraphEqualizer::run, nb::arg("inputs"))
      .def("constants", &GraphEqualizer::constants);
  module.attr("RANGE_SEARCH_SAMPLES") = kRangeSearchSamples;
  nb::class_<Model>(module, "Model", "A compiled graph that runs.")
      .def_static("compile", &compile_model, nb::arg("graph"), nb::arg("execution") = "qdq",
                  nb::arg("threads") = 1)
      .def_static(
          "compile_program",
          [](const ExportedProgram& program, const std::string& execution) {
            ModelOptions options;
            options.execution = execution_of(execution);
            return take(Model::compile(program, options));
          },
          nb::arg("program"), nb::arg("execution") = "qdq")
      .def("reset", &Model::reset)
      .def(
          "run",
          [](Model& model, const std::vector<InputArray>& inputs) {
            return to_arrays(take(model(tensor_views(inputs))));
          },
          nb::arg("inputs"));
  nb::class_<PreparedModel>(module, "PreparedModel", "An archive's model with observers.")
      .def("run",
           [](PreparedModel& model, const std::vector<InputArray>& inputs) {
             return to_arrays(take(model(tensor_views(inputs))));
           })
      .def_prop_ro("samples", &PreparedModel::samples)
      .def("statistics", &PreparedModel::statistics)
      .def("merge_statistics",
           [](PreparedModel& model, std::string_view json) { check(model.merge_statistics(json)); })
      .def("set_encodings",
           [](PreparedModel& model, std::string_view json) { check(model.set_encodings(json)); });
  nb::class_<QuantizedModel>(module, "QuantizedModel", "An archive's model, quantized.")
      .def(
          "run",
          [](QuantizedModel& model, const std::vector<InputArray>& inputs,
             const std::string& execution) {
            return to_arrays(take(model(tensor_views(inputs), execution_of(execution))));
          },
          nb::arg("inputs"), nb::arg("execution") = "qdq")
      .def_prop_ro(
          "exported_program",
          [](const QuantizedModel& model) { return ExportedProgram(model.exported_program()); })
      .def_prop_ro("guarded", &QuantizedModel::guarded)
      .def_prop_ro("warnings", &QuantizedModel::warnings)
      .def("encodings", &QuantizedModel::encodings)
      .def("aimet_encodings", &QuantizedModel::aimet_encodings)
      .def("encodings_hash", &QuantizedModel::encodings_hash);
  module.def(
      "prepare_pt2e",
      [](const ExportedProgram& program, const EnnQuantizer& quantizer, int threads) {
        ModelOptions options;
        options.threads = threads;
        return take(prepare_pt2e(program, quantizer, options));
      },
      nb::arg("program"), nb::arg("quantizer"), nb::arg("threads") = 1);
  module.def(
      "convert_pt2e", [](const PreparedModel& model) { return take(convert_pt2e(model)); },
      nb::arg("model"));
}

}  // namespace enn::python

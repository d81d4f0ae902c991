#include "enn/pt2e.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "archive/exported_program.hpp"
#include "base/checksum.hpp"
#include "base/sha256.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "pt2e/bias_correction.hpp"
#include "pt2e/calibration.hpp"
#include "pt2e/encodings.hpp"
#include "pt2e/fuse_batch_norms.hpp"
#include "pt2e/guard.hpp"
#include "pt2e/insert_quantization.hpp"
#include "pt2e/kept_samples.hpp"
#include "pt2e/names.hpp"
#include "pt2e/placement.hpp"
#include "pt2e/range_search.hpp"
#include "pt2e/states.hpp"
#include "pt2e/weight_rounding.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kStatistics = "openenn.statistics";
constexpr std::uint64_t kStatisticsVersion = 3;

// What statistics may be merged: the graph's text, which does not hold its larger constants, and a
// checksum of these and of what buffers hold at first. Where the model's source lies makes no
// difference.
std::string model_hash(const ExportedProgram& program) {
  Graph graph = program.graph();
  for (const NodeId id : graph.order()) graph.node(id).origin = {};
  std::string text = print(graph);
  for (const Mutation& mutation : program.mutations()) {
    if (mutation.initial != nullptr) text += str(" kept ", crc32c(*mutation.initial));
  }
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).is_constant()) text += str(' ', crc32c(*graph.value(id).data));
  }
  return sha256(text);
}

// Unique names of sites: the value's, with the reader's where the value has several observers.
std::vector<std::string> site_names(const Graph& graph, const Placement& placement) {
  std::map<ValueId, int> count;
  for (const Site& site : placement.sites) ++count[site.value];
  std::vector<std::string> names;
  for (const Site& site : placement.sites) {
    std::string name = graph.value(site.value).name;
    if (!site.of_result && count[site.value] > 1) {
      name += " -> " + graph.node(site.readers.front()).name;
    }
    names.push_back(std::move(name));
  }
  return names;
}

// The module's names of sites on parameters, where a name is of one site only; else the site's own.
std::vector<std::string> qualified_names(const ExportedProgram& program, const Graph& fused,
                                         const Placement& placement,
                                         const std::vector<std::string>& names) {
  std::vector<std::string> qualified = names;
  std::map<std::string, int> count;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Site& site = placement.sites[i];
    if (!fused.value(site.value).is_constant() || site.readers.empty()) continue;
    // The operand that the reader has in the program, before a batch norm was folded into it.
    const std::vector<ValueId>& operands = fused.node(site.readers.front()).inputs;
    const auto operand = std::find(operands.begin(), operands.end(), site.value) - operands.begin();
    const ValueId original =
        program.graph().node(site.readers.front()).inputs.at(static_cast<std::size_t>(operand));
    const auto found = program.state().qualified_names.find(program.graph().value(original).name);
    if (found == program.state().qualified_names.end()) continue;
    qualified[i] = found->second;
    ++count[found->second];
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (count[qualified[i]] > 1) qualified[i] = names[i];
  }
  return qualified;
}

// What layers saw, with their names: of BiasCorrection or WeightRounding.
template <typename Item>
Json layers_json(const Graph& graph, const std::vector<Item>& layers) {
  Json list = Json::array();
  for (const Item& layer : layers) {
    Json item = layer.save();
    item["name"] = graph.node(layer.node()).name;
    list.push_back(std::move(item));
  }
  return list;
}

// The reverse; `layers` are loaded from document[what].
template <typename Item>
Result<std::vector<Item>> layers_from(const Json& document, const std::string& what,
                                      const Graph& graph, std::vector<Item> layers) {
  const auto list = document.find(what);
  if (list == document.end() || !list->is_array() || list->size() != layers.size()) {
    return error(Code::InvalidArgument, "'", what, "' is no list of ", layers.size(), " layers");
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string& name = graph.node(layers[i].node()).name;
    const Json& item = (*list)[i];
    ENN_ASSIGN(const std::string actual, string_from(item, "name"));
    if (actual != name) {
      return error(Code::InvalidArgument, "the statistics have the ", what, " of '",
                   printable(actual), "' in the place of those of '", name, "'");
    }
    if (Status status = layers[i].load(item); !status.ok()) {
      return error(status.code(), what, " of '", name, "': ", status.message());
    }
  }
  return layers;
}

template <typename Item>
void merge_each(std::vector<Item>& layers, const std::vector<Item>& others) {
  for (std::size_t i = 0; i < layers.size(); ++i) layers[i].merge(others[i]);
}

bool is_symmetric(const GroupSpec& group) {
  const auto* spec = std::get_if<QuantizationSpec>(&group);
  return spec != nullptr && spec->qscheme != QScheme::PerTensorAffine;
}

}  // namespace

// What outside says of a group.
struct Given {
  QuantParams params;
  std::optional<ObservedRange> range{};
};

struct PreparedModel::State {
  ExportedProgram program;  // as it was annotated
  Graph graph;              // with fused batch norms
  Annotations annotations;
  Placement placement;
  Calibration calibration;
  std::vector<std::string> names;            // of the sites
  std::vector<std::string> qualified_names;  // of the sites
  std::vector<std::optional<Given>> given;   // per group, from outside
  std::string model;
  std::string quantizer;
  std::optional<double> guard;  // least signal over noise, or off
  KeptSamples kept;
  std::uint64_t samples = 0;
  ModelOptions options;
  Model runner;

  [[nodiscard]] std::string name_of_group(std::size_t group) const {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (placement.sites[i].group == group) return names[i];
    }
    return "";
  }
  [[nodiscard]] Result<std::vector<QuantParams>> params() const;
  // Null unless the layer's weight is quantized where the layer reads it.
  [[nodiscard]] const QuantParams* params_of_weight(NodeId layer, std::span<const Site> sites,
                                                    const std::vector<QuantParams>& params) const;
  // What the guard leaves; all sites where it is off.
  [[nodiscard]] Guarded guarded(const std::vector<QuantParams>& params) const;
  // Both write to a copy of `graph`: weights that rounding to nearest takes to their learned
  // integers, and the biases that go with them. Of the layers whose weight has one of the sites.
  [[nodiscard]] Status round_weights(Graph& rounded, std::span<const Site> sites,
                                     const std::vector<QuantParams>& params) const;
  [[nodiscard]] Status correct_biases(Graph& corrected, std::span<const Site> sites,
                                      const std::vector<QuantParams>& params) const;
  // Of the sites with these numbers.
  [[nodiscard]] std::vector<Encoding> encodings(std::span<const std::size_t> numbers,
                                                const std::vector<QuantParams>& params) const;
  [[nodiscard]] Result<QuantParams> params_of(std::size_t site, const GivenEncoding& given) const;
  // The ranges that can be searched, and the groups that they are of.
  [[nodiscard]] std::vector<std::size_t> searched_groups(const std::vector<QuantParams>& params,
                                                         std::vector<SearchedRange>& ranges) const;
};

Result<std::vector<QuantParams>> PreparedModel::State::params() const {
  std::vector<std::pair<std::string, Observed>> seen;
  for (std::size_t group = 0; group < calibration.group_count(); ++group) {
    const RangeObserver* observer = calibration.observer(group);
    if (given[group] || observer == nullptr) continue;
    seen.emplace_back(name_of_group(group), observer->observed());
  }
  ENN_TRY(check_observed(seen));
  std::vector<QuantParams> params;
  for (std::size_t group = 0; group < calibration.group_count(); ++group) {
    if (given[group]) {
      params.push_back(given[group]->params);
      continue;
    }
    Result<QuantParams> observed = calibration.qparams(group);
    if (!observed.ok()) {
      return error(observed.status().code(), "value '", name_of_group(group),
                   "': ", observed.status().message());
    }
    params.push_back(std::move(observed).value());
  }
  return params;
}

const QuantParams* PreparedModel::State::params_of_weight(
    NodeId layer, std::span<const Site> sites, const std::vector<QuantParams>& params) const {
  const ValueId weight = graph.node(layer).inputs[1];
  const auto site = std::ranges::find_if(sites, [&](const Site& candidate) {
    return candidate.value == weight &&
           std::ranges::find(candidate.readers, layer) != candidate.readers.end();
  });
  return site == sites.end() ? nullptr : &params[site->group];
}

Guarded PreparedModel::State::guarded(const std::vector<QuantParams>& params) const {
  Guarded result = all_sites(placement);
  if (guard) {
    result = enn::guard(
        {graph, program.inputs(), program.outputs(), program.mutations(), placement, params}, kept,
        *guard, options);
  }
  const std::vector<std::string> others = sample_warnings(kept);
  result.warnings.insert(result.warnings.begin(), others.begin(), others.end());
  return result;
}

Status PreparedModel::State::round_weights(Graph& rounded, std::span<const Site> sites,
                                           const std::vector<QuantParams>& params) const {
  for (const WeightRounding& rounding : calibration.roundings()) {
    const QuantParams* weight_params = params_of_weight(rounding.node(), sites, params);
    if (weight_params == nullptr) continue;
    const ValueId weight = graph.node(rounding.node()).inputs[1];
    ENN_ASSIGN(const std::vector<float> weights, constant_floats(graph, weight));
    rounded.value(weight).data = std::make_shared<const std::vector<std::byte>>(
        bytes_of(rounding.rounded(weights, *weight_params)));
  }
  return {};
}

Status PreparedModel::State::correct_biases(Graph& corrected, std::span<const Site> sites,
                                            const std::vector<QuantParams>& params) const {
  for (const BiasCorrection& correction : calibration.corrections()) {
    const NodeId id = correction.node();
    const QuantParams* weight_params = params_of_weight(id, sites, params);
    if (weight_params == nullptr) continue;
    const ValueId weight = graph.node(id).inputs[1];
    const ValueId bias = graph.node(id).inputs[2];
    ENN_ASSIGN(const std::vector<float> weights, constant_floats(graph, weight));
    ENN_ASSIGN(std::vector<float> rounded, constant_floats(corrected, weight));
    rounded = nearest_weight(rounded, graph.value(weight).type.shape, *weight_params);
    ENN_ASSIGN(const std::vector<float> biases, constant_floats(graph, bias));
    const Value& original = graph.value(bias);
    corrected.node(id).inputs[2] =
        add_float_constant(corrected, graph.node(id).name + "_bias_corrected", original.type.shape,
                           correction.corrected(biases, weights, rounded));
  }
  return {};
}

std::vector<Encoding> PreparedModel::State::encodings(
    std::span<const std::size_t> numbers, const std::vector<QuantParams>& params) const {
  std::vector<Encoding> encodings;
  for (const std::size_t i : numbers) {
    const std::size_t group = placement.sites[i].group;
    Encoding encoding;
    encoding.name = names[i];
    encoding.qualified_name = qualified_names[i];
    encoding.dtype = integer_type(calibration.group(group));
    encoding.params = params[group];
    encoding.symmetric = is_symmetric(calibration.group(group));
    encoding.parameter = graph.value(placement.sites[i].value).is_constant();
    const RangeObserver* observer = calibration.observer(group);
    if (given[group]) {
      encoding.range = given[group]->range;
    } else if (observer != nullptr && !observer->empty()) {
      encoding.range = {observer->low(), observer->high()};
    }
    encodings.push_back(std::move(encoding));
  }
  return encodings;
}

// What was given for a site, if its spec can be met by it.
Result<QuantParams> PreparedModel::State::params_of(std::size_t site,
                                                    const GivenEncoding& encoding) const {
  const GroupSpec& spec = calibration.group(placement.sites[site].group);
  QuantParams params;
  params.scales = encoding.scales;
  params.zero_points = encoding.zero_points;
  std::visit(
      [&](const auto& known) {
        params.quant_min = known.quant_min;
        params.quant_max = known.quant_max;
      },
      spec);
  const DType dtype = integer_type(spec);
  const std::int32_t shift =
      (dtype == DType::UInt8 ? 128 : 0) - (encoding.dtype == DType::UInt8 ? 128 : 0);
  for (std::int32_t& zero_point : params.zero_points) {
    zero_point += shift;
    if (zero_point < params.quant_min || zero_point > params.quant_max) {
      return error(Code::InvalidArgument, "encoding of '", names[site], "': its zero point ",
                   zero_point, " lies outside [", params.quant_min, ", ", params.quant_max, "]");
    }
  }
  std::size_t channels = 1;
  const auto* observed = std::get_if<QuantizationSpec>(&spec);
  if (observed != nullptr && observed->qscheme == QScheme::PerChannelSymmetric) {
    params.axis = observed->ch_axis;
    const Shape& shape = graph.value(placement.sites[site].value).type.shape;
    channels = static_cast<std::size_t>(shape[static_cast<std::size_t>(params.axis)]);
  }
  if (params.scales.size() != channels) {
    return error(Code::InvalidArgument, "encoding of '", names[site], "' has ",
                 params.scales.size(), " scales, expected ", channels);
  }
  return params;
}

PreparedModel::PreparedModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
PreparedModel::PreparedModel(PreparedModel&&) noexcept = default;
PreparedModel& PreparedModel::operator=(PreparedModel&&) noexcept = default;
PreparedModel::~PreparedModel() = default;

Result<PreparedModel> prepare_pt2e(const ExportedProgram& program, const EnnQuantizer& quantizer,
                                   const ModelOptions& options) {
  if (quantizer.is_qat()) {
    return error(Code::Unsupported,
                 "quantization-aware training needs PyTorch: train with torchao's "
                 "prepare_qat_pt2e, and load the archive of the converted model here");
  }
  if (quantizer.compatibility() == Compatibility::Upstream) {
    return error(Code::Unsupported,
                 "Compatibility::Upstream places quantization by the calls of a model in PyTorch; "
                 "use the Python door for it");
  }
  if (quantizer.repairs()) return error(Code::InvalidArgument, repairs_need_all_samples());
  ENN_TRY(check_not_quantized(program.graph()));
  ENN_ASSIGN(ExportedProgram transformed, transform_for_annotation(program));
  Graph graph = transformed.graph();
  ENN_TRY(fuse_batch_norms(graph));
  ENN_TRY(verify(graph));
  ENN_TRY(quantizer.check_patterns(graph));
  Annotations annotations = annotate_beside_updates(quantizer, graph, transformed.mutations());
  ENN_ASSIGN(Placement placement, place_observers(graph, annotations));
  ENN_ASSIGN(Calibration calibration,
             Calibration::create(placement.groups, bias_corrections(graph, quantizer, annotations),
                                 weight_roundings(graph, quantizer, annotations)));
  Graph tapped = graph;
  for (const Site& site : placement.sites) {
    const Value& value = graph.value(site.value);
    if (calibration.observer(site.group) == nullptr) continue;
    if (value.is_constant()) {
      ENN_TRY(calibration.add_constant(site.group, value));
      continue;
    }
    if (value.type.dtype != DType::Float32) {
      return error(Code::Unsupported, "value '", value.name, "' is ", to_string(value.type.dtype),
                   "; calibration needs a float32 model");
    }
    calibration.add_tap(site.group, value.type.shape);
    (void)tapped.add_tap(site.value);
  }
  for (std::size_t i = 0; i < calibration.corrections().size(); ++i) {
    const BiasCorrection& correction = calibration.corrections()[i];
    calibration.add_tap_of_means(i);
    (void)tapped.add_tap(add_channel_means(tapped, correction, correction.node()));
  }
  for (std::size_t i = 0; i < calibration.roundings().size(); ++i) {
    calibration.add_tap_of_columns(i);
    (void)tapped.add_tap(add_flat_input(tapped, calibration.roundings()[i].node()));
  }
  ModelOptions runner_options = options;
  runner_options.execution = Execution::Qdq;
  ENN_ASSIGN(Model runner, Model::compile_graph(tapped, transformed.inputs(), transformed.outputs(),
                                                runner_options, transformed.mutations()));
  std::vector<std::string> names = site_names(graph, placement);
  std::vector<std::string> qualified = qualified_names(transformed, graph, placement, names);
  std::vector<std::optional<Given>> given(placement.groups.size());
  std::string model = model_hash(program);
  return PreparedModel(std::make_unique<PreparedModel::State>(PreparedModel::State{
      std::move(transformed), std::move(graph), std::move(annotations), std::move(placement),
      std::move(calibration), std::move(names), std::move(qualified), std::move(given),
      std::move(model), sha256(quantizer.to_json()), quantizer.guard(), KeptSamples(), 0, options,
      std::move(runner)}));
}

Result<std::vector<Tensor>> PreparedModel::operator()(std::span<const TensorView> inputs) {
  ENN_ASSIGN(std::vector<Tensor> outputs, state_->runner(inputs, &state_->calibration));
  SerialParallel serial;
  state_->calibration.see_constants(serial);
  state_->kept.add(inputs);
  ++state_->samples;
  return outputs;
}

std::uint64_t PreparedModel::samples() const { return state_->samples; }

std::string PreparedModel::statistics() const {
  Json observers = Json::array();
  for (std::size_t group = 0; group < state_->calibration.group_count(); ++group) {
    const RangeObserver* observer = state_->calibration.observer(group);
    if (observer == nullptr || state_->calibration.constant(group)) continue;
    Json item = observer->save();
    item["name"] = state_->name_of_group(group);
    observers.push_back(std::move(item));
  }
  Json document = {{"format", kStatistics},
                   {"version", kStatisticsVersion},
                   {"model", state_->model},
                   {"quantizer", state_->quantizer},
                   {"samples", state_->samples},
                   {"observers", std::move(observers)},
                   {"means", layers_json(state_->graph, state_->calibration.corrections())}};
  // Absent where nothing is learned, as in statistics of versions that learned nothing.
  if (!state_->calibration.roundings().empty()) {
    document["moments"] = layers_json(state_->graph, state_->calibration.roundings());
  }
  return document.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

Status PreparedModel::merge_statistics(std::string_view text) {
  ENN_ASSIGN(const Json document, parse_object(text, "statistics"));
  ENN_TRY(check_format(document, kStatistics, kStatisticsVersion));
  ENN_ASSIGN(const std::string model, string_from(document, "model"));
  ENN_ASSIGN(const std::string quantizer, string_from(document, "quantizer"));
  ENN_ASSIGN(const std::uint64_t samples, count_from(document, "samples"));
  if (model != state_->model) {
    return error(Code::InvalidArgument, "the statistics are of another model");
  }
  if (quantizer != state_->quantizer) {
    return error(Code::InvalidArgument,
                 "the statistics were made with another configuration of the quantizer");
  }
  const auto list = document.find("observers");
  if (list == document.end() || !list->is_array()) {
    return error(Code::InvalidArgument, "'observers' is missing or no list");
  }
  std::vector<std::pair<std::size_t, std::unique_ptr<RangeObserver>>> loaded;
  for (std::size_t group = 0; group < state_->calibration.group_count(); ++group) {
    if (state_->calibration.observer(group) == nullptr || state_->calibration.constant(group)) {
      continue;
    }
    const std::string name = state_->name_of_group(group);
    if (loaded.size() >= list->size()) {
      return error(Code::InvalidArgument, "the statistics have no observer of '", name, "'");
    }
    const Json& item = (*list)[loaded.size()];
    ENN_ASSIGN(const std::string actual, string_from(item, "name"));
    if (actual != name) {
      return error(Code::InvalidArgument, "the statistics have the observer of '",
                   printable(actual), "' in the place of that of '", name, "'");
    }
    ENN_ASSIGN(auto observer,
               make_observer(std::get<QuantizationSpec>(state_->calibration.group(group))));
    if (Status status = observer->load(item); !status.ok()) {
      return error(status.code(), "statistics of '", name, "': ", status.message());
    }
    // Tried on the copy first: when any fails, none has changed.
    loaded.emplace_back(group, std::move(observer));
  }
  if (loaded.size() != list->size()) {
    return error(Code::InvalidArgument, "the statistics have ", list->size(),
                 " observers, the model ", loaded.size());
  }
  const Calibration& calibration = state_->calibration;
  ENN_ASSIGN(const auto corrections,
             layers_from(document, "means", state_->graph, calibration.corrections()));
  std::vector<WeightRounding> roundings;
  if (!calibration.roundings().empty()) {
    ENN_ASSIGN(roundings, layers_from(document, "moments", state_->graph, calibration.roundings()));
  }
  merge_each(state_->calibration.corrections(), corrections);
  merge_each(state_->calibration.roundings(), roundings);
  for (const auto& [group, observer] : loaded) {
    ENN_TRY(state_->calibration.observer(group)->merge(*observer));
  }
  state_->samples += samples;
  return {};
}

Status PreparedModel::set_encodings(std::string_view text) {
  ENN_ASSIGN(const auto given, parse_encodings(text));
  std::vector<std::optional<Given>> all = state_->given;
  std::set<std::string> unknown;
  for (const auto& [name, encoding] : given) unknown.insert(name);
  std::map<std::size_t, std::string> set_by;
  for (std::size_t i = 0; i < state_->names.size(); ++i) {
    auto found = given.find(state_->names[i]);
    if (found == given.end()) found = given.find(state_->qualified_names[i]);
    if (found == given.end()) continue;
    unknown.erase(found->first);
    ENN_ASSIGN(QuantParams wanted, state_->params_of(i, found->second));
    const std::size_t group = state_->placement.sites[i].group;
    const auto [other, first] = set_by.emplace(group, state_->names[i]);
    if (!first && all[group]->params != wanted) {
      return error(Code::InvalidArgument, "'", other->second, "' and '", state_->names[i],
                   "' share their quantization, but have different encodings");
    }
    all[group] = Given{std::move(wanted), found->second.range};
  }
  if (!unknown.empty()) {
    std::vector<std::string> names;
    for (const std::string& name : unknown) names.push_back(printable(name));
    return error(Code::InvalidArgument,
                 "no value of these names is quantized: ", first_of(std::move(names)));
  }
  state_->given = std::move(all);
  return {};
}

std::vector<std::size_t> PreparedModel::State::searched_groups(
    const std::vector<QuantParams>& params, std::vector<SearchedRange>& ranges) const {
  std::vector<std::size_t> groups;
  for (std::size_t group = 0; group < calibration.group_count(); ++group) {
    const auto* spec = std::get_if<QuantizationSpec>(&calibration.group(group));
    if (spec == nullptr || spec->qscheme != QScheme::PerTensorAffine || given[group]) continue;
    SearchedRange range{{}, *spec, params[group]};
    bool fits = true;
    for (const Site& site : placement.sites) {
      if (site.group != group) continue;
      // All that read the value read it through this site.
      const std::vector<NodeId> users = graph.users(site.value);
      const bool alone =
          site.of_result || (site.readers.size() == users.size() && !graph.is_output(site.value));
      fits = fits && alone && site.parent == kNoSite && graph.value(site.value).producer != kNone;
      range.values.push_back(site.value);
    }
    if (!fits || range.values.empty()) continue;
    groups.push_back(group);
    ranges.push_back(std::move(range));
  }
  return groups;
}

Status PreparedModel::search_ranges(std::span<const std::vector<Tensor>> samples,
                                    const std::function<void(std::size_t, std::size_t)>& progress) {
  State& state = *state_;
  ENN_ASSIGN(const std::vector<QuantParams> params, state.params());
  std::vector<SearchedRange> ranges;
  const std::vector<std::size_t> groups = state.searched_groups(params, ranges);
  ENN_ASSIGN(
      const std::vector<QuantParams> found,
      enn::search_ranges(state.graph, state.program.inputs(), state.program.outputs(),
                         state.program.mutations(), ranges, samples, state.options, progress));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const QuantParams& chosen = found[i];
    const auto bound = [&](std::int32_t q) {
      return static_cast<float>(q - chosen.zero_point()) * chosen.scale();
    };
    state.given[groups[i]] =
        Given{chosen, ObservedRange{bound(chosen.quant_min), bound(chosen.quant_max)}};
  }
  return {};
}

struct QuantizedModel::State {
  ExportedProgram program;
  std::vector<Encoding> encodings;
  std::vector<std::pair<std::string, std::string>> guarded;
  std::vector<std::string> warnings;
  ModelOptions options;
  std::optional<Model> qdq;
  std::optional<Model> integer;
};

QuantizedModel::QuantizedModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
QuantizedModel::QuantizedModel(QuantizedModel&&) noexcept = default;
QuantizedModel& QuantizedModel::operator=(QuantizedModel&&) noexcept = default;
QuantizedModel::~QuantizedModel() = default;

Result<std::vector<Tensor>> QuantizedModel::operator()(std::span<const TensorView> inputs,
                                                       Execution execution) {
  std::optional<Model>& model = execution == Execution::Qdq ? state_->qdq : state_->integer;
  if (!model) {
    ModelOptions options = state_->options;
    options.execution = execution;
    ENN_ASSIGN(model, Model::compile(state_->program, options));
  }
  return (*model)(inputs);
}

const ExportedProgram& QuantizedModel::exported_program() const { return state_->program; }

std::string QuantizedModel::encodings() const { return encodings_json(state_->encodings); }
std::string QuantizedModel::aimet_encodings() const { return aimet_json(state_->encodings); }
std::string QuantizedModel::encodings_hash() const { return sha256(encodings()); }
const std::vector<std::pair<std::string, std::string>>& QuantizedModel::guarded() const {
  return state_->guarded;
}
const std::vector<std::string>& QuantizedModel::warnings() const { return state_->warnings; }

Result<QuantizedModel> convert_pt2e(const PreparedModel& prepared) {
  const PreparedModel::State& state = *prepared.state_;
  ENN_ASSIGN(const std::vector<QuantParams> params, state.params());
  Guarded guarded = state.guarded(params);
  Annotations annotations = state.annotations;
  apply(state.graph, guarded, annotations);
  const Placement placement{state.placement.groups, std::move(guarded.remaining.sites)};
  Graph graph = state.graph;
  ENN_TRY(state.round_weights(graph, placement.sites, params));
  ENN_TRY(state.correct_biases(graph, placement.sites, params));
  ENN_ASSIGN(graph, insert_quantization(graph, annotations, placement, params));
  return QuantizedModel(std::make_unique<QuantizedModel::State>(QuantizedModel::State{
      with_graph(state.program, std::move(graph)),
      state.encodings(guarded.remaining.numbers, params), names_and_reasons(state.graph, guarded),
      std::move(guarded.warnings), state.options, std::nullopt, std::nullopt}));
}

}  // namespace enn

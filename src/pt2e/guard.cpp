#include "pt2e/guard.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/printable.hpp"
#include "pt2e/insert_quantization.hpp"
#include "pt2e/layer_errors.hpp"

namespace enn {
namespace {

// What is left in float after the last round is not measured again.
constexpr int kRounds = 4;
// Of the values that are not 0: where more become 0, the range is made by outliers.
constexpr double kMostVanished = 0.95;
// A range that reaches so many times the typical magnitude is not that of the data.
constexpr double kSuspiciousRange = 1000.0;
constexpr std::size_t kNamed = 3;  // in a warning

double decibels(double noise) { return -10.0 * std::log10(noise); }

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

std::string quoted(const std::string& name) { return str("'", printable_text(name), "'"); }

// Noise over signal of each sample that has a signal.
class Noise {
 public:
  void add(double noise, double signal) {
    if (!(signal > 0.0) || !(noise >= 0.0)) return;
    samples_.push_back(noise);
    signals_.push_back(signal);
  }

  // Of half the samples, or of all together: an outlier makes the signal of its sample large, and
  // that of the others is lost.
  [[nodiscard]] double worst() const {
    if (samples_.empty()) return 0.0;
    const double noise =
        std::inner_product(samples_.begin(), samples_.end(), signals_.begin(), 0.0);
    const double whole = noise / std::accumulate(signals_.begin(), signals_.end(), 0.0);
    return std::max(whole, median(samples_));
  }

  [[nodiscard]] static double median(std::vector<double> values) {
    if (values.empty()) return 0.0;
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
  }

 private:
  std::vector<double> samples_;
  std::vector<double> signals_;
};

struct ValueNoise {
  Noise noise;
  std::vector<double> typical;  // of each sample: the mean magnitude of values that are not 0
  std::vector<double> vanished;
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
};

// What the samples tell of a placement.
struct Measured {
  TwinGraph twin;
  std::vector<Noise> own;          // by layer
  std::vector<ValueNoise> values;  // by quantization
};

Annotations annotations_of(const Graph& graph, const std::vector<Site>& sites) {
  Annotations annotations(graph);
  for (const Site& site : sites) {
    const NodeId producer = graph.value(site.value).producer;
    if (site.of_result && producer != kNone) {
      Annotation annotation = annotations.node(producer).value_or(Annotation());
      annotation.output = QuantizationSpec();
      annotations.set(producer, std::move(annotation));
    }
    for (const NodeId reader : site.readers) {
      Annotation annotation = annotations.node(reader).value_or(Annotation());
      annotation.inputs.emplace_back(site.value, QuantizationSpec());
      annotations.set(reader, std::move(annotation));
    }
  }
  return annotations;
}

bool fits(const std::vector<Tensor>& sample, const std::vector<NamedType>& inputs) {
  return std::ranges::equal(sample, inputs,
                            [](const Tensor& a, const NamedType& b) { return a.type == b.type; });
}

class Guard {
 public:
  Guard(const GuardedModel& model, double least_sqnr, const ModelOptions& options)
      : model_(model),
        graph_(model.graph),
        least_sqnr_(least_sqnr),
        options_(options),
        reads_in_float_(graph_.node_count()),
        result_in_float_(graph_.value_count()) {
    for (const Site& site : model.placement.sites) {
      if (site.of_result) group_of_result_[site.value] = site.group;
    }
  }

  Result<Guarded> run(std::span<const std::vector<Tensor>> samples) {
    for (int round = 0; round < kRounds; ++round) {
      const RemainingSites remaining = remaining_sites();
      if (remaining.sites.empty()) break;
      ENN_ASSIGN(const Measured measured, measure(remaining, samples));
      if (round == 0) find_suspicious_ranges(measured);
      if (!decide(measured)) break;
    }
    Guarded guarded;
    guarded.remaining = remaining_sites();
    for (const NodeId id : graph_.order()) {
      if (reads_in_float_[id]) guarded.readers.emplace_back(id, *reads_in_float_[id]);
    }
    for (ValueId id = 0; id < graph_.value_count(); ++id) {
      if (result_in_float_[id]) guarded.values.emplace_back(id, *result_in_float_[id]);
    }
    guarded.warnings = std::move(warnings_);
    if (!causes_.empty()) guarded.warnings.push_back(summary());
    return guarded;
  }

 private:
  RemainingSites remaining_sites() const {
    const std::vector<Site>& sites = model_.placement.sites;
    RemainingSites remaining;
    std::vector<std::size_t> place(sites.size(), kNoSite);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      Site site = sites[i];
      std::erase_if(site.readers, [&](NodeId reader) { return bool{reads_in_float_[reader]}; });
      site.of_result = site.of_result && !result_in_float_[site.value];
      if (!site.of_result && site.readers.empty()) continue;
      // What read the result's site reads the value where that is in float.
      if (site.parent != kNoSite) {
        site.parent = place[site.parent];
        if (site.parent != kNoSite && !remaining.sites[site.parent].of_result)
          site.parent = kNoSite;
      }
      place[i] = remaining.sites.size();
      remaining.sites.push_back(std::move(site));
      remaining.numbers.push_back(i);
    }
    return remaining;
  }

  Result<Measured> measure(const RemainingSites& remaining,
                           std::span<const std::vector<Tensor>> samples) const {
    const Placement placement{model_.placement.groups, remaining.sites};
    ENN_ASSIGN(const Graph quantized,
               insert_quantization(graph_, annotations_of(graph_, remaining.sites), placement,
                                   model_.params));
    // What is in the graph keeps its ids.
    std::vector<NodeId> nodes(graph_.node_count(), kNone);
    for (const NodeId id : graph_.order()) nodes[id] = id;
    ENN_ASSIGN(LayerErrors errors, LayerErrors::create(graph_, quantized, nodes, model_.inputs,
                                                       model_.outputs, model_.mutations, options_));
    errors.count_vanished();
    Measured measured;
    measured.twin = errors.twin();
    measured.own.resize(measured.twin.layers.size());
    measured.values.resize(measured.twin.quantizations.size());
    for (const std::vector<Tensor>& sample : samples) {
      std::vector<TensorView> views;
      for (const Tensor& tensor : sample) views.push_back(tensor.view());
      errors.clear();
      ENN_TRY(errors(views).status());
      add(errors, measured);
    }
    return measured;
  }

  static void add(const LayerErrors& errors, Measured& measured) {
    for (std::size_t i = 0; i < measured.own.size(); ++i) {
      const SeenValues* seen = errors.seen(measured.twin.layers[i].reference);
      if (seen != nullptr) measured.own[i].add(errors.own_noise(i), seen->sums.squares);
    }
    for (std::size_t i = 0; i < measured.values.size(); ++i) {
      const SeenValues* seen = errors.seen(measured.twin.quantizations[i].reference);
      if (seen == nullptr) continue;
      ValueNoise& value = measured.values[i];
      value.noise.add(errors.rounding(i).noise_to_signal(), seen->sums.squares);
      if (seen->sums.count > 0) {
        value.low = std::min(value.low, seen->sums.low);
        value.high = std::max(value.high, seen->sums.high);
      }
      const LayerErrors::Vanished counts = errors.vanished(i);
      if (counts.nonzero == 0) continue;
      const auto nonzero = static_cast<double>(counts.nonzero);
      value.typical.push_back(seen->sums.magnitudes / nonzero);
      value.vanished.push_back(static_cast<double>(counts.vanished) / nonzero);
    }
  }

  [[nodiscard]] bool destroyed(const Noise& noise) const {
    return decibels(noise.worst()) < least_sqnr_;
  }

  // Whether some site of the value has a range that was observed.
  [[nodiscard]] bool observed(ValueId value) const {
    return std::ranges::any_of(model_.placement.sites, [&](const Site& site) {
      return site.value == value &&
             std::holds_alternative<QuantizationSpec>(model_.placement.groups[site.group]);
    });
  }

  void find_suspicious_ranges(const Measured& measured) {
    std::set<ValueId> named;
    std::vector<std::string> points;
    for (std::size_t i = 0; i < measured.values.size(); ++i) {
      const TwinQuantization& quantization = measured.twin.quantizations[i];
      const ValueNoise& value = measured.values[i];
      if (quantization.constant || !observed(quantization.value)) continue;
      if (!named.insert(quantization.value).second) continue;
      const std::string name = quoted(graph_.value(quantization.value).name);
      const QuantParams& params = quantization.params;
      const double scale = static_cast<double>(params.scale());
      const double low = scale * (params.quant_min - params.zero_point());
      const double high = scale * (params.quant_max - params.zero_point());
      const double typical = Noise::median(value.typical);
      const double reach = std::max(-low, high);
      if (typical > 0 && reach > kSuspiciousRange * typical) {
        warnings_.push_back(str("calibration: the range of ", name, " reaches ", number(reach),
                                ", which is ", number(reach / typical),
                                " times its typical magnitude ", number(typical),
                                ": look for outliers in the samples"));
      }
      const bool is_point = value.low == value.high &&
                            reach <= 1.01 * std::fabs(static_cast<double>(value.low)) + 1e-6;
      if (is_point) points.push_back(str(name, " (", number(static_cast<double>(value.low)), ")"));
    }
    if (points.empty()) return;
    warnings_.push_back(str("calibration: the same number is everywhere in ", list(points),
                            " in all samples that were looked at: its range is a point, and other "
                            "numbers will be clipped to it"));
  }

  static std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i)
      text += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > kNamed) text += str(" and ", names.size() - kNamed, " more");
    return text;
  }

  // Whether anything more is left in float.
  bool decide(const Measured& measured) {
    bool changed = false;
    for (std::size_t i = 0; i < measured.values.size(); ++i) {
      const TwinQuantization& quantization = measured.twin.quantizations[i];
      if (!quantization.constant)
        changed = check_value(quantization, measured.values[i]) || changed;
    }
    for (std::size_t i = 0; i < measured.own.size(); ++i) {
      if (destroyed(measured.own[i])) changed = check_layer(measured, i) || changed;
    }
    return changed;
  }

  bool check_value(const TwinQuantization& quantization, const ValueNoise& value) {
    const std::string name = quoted(graph_.value(quantization.value).name);
    const double vanished = Noise::median(value.vanished);
    const double sqnr = decibels(value.noise.worst());
    std::string reason;
    std::string cause;
    if (observed(quantization.value) && vanished > kMostVanished) {
      reason = str("outliers make the range of ", name, ": ", number(100 * vanished),
                   " % of its values that are not 0 become 0");
      cause = str(name, " (", number(100 * vanished), " % become 0)");
    } else if (destroyed(value.noise)) {
      reason = str("8 bits leave ", name, " ", number(sqnr), " dB, less than the ",
                   number(least_sqnr_), " of the guard");
      cause = str(name, " (", number(sqnr), " dB)");
    } else {
      return false;
    }
    if (!keep_in_float(quantization.value, reason)) return false;
    causes_.push_back(cause);
    return true;
  }

  bool check_layer(const Measured& measured, std::size_t number_of_layer) {
    const TwinLayer& layer = measured.twin.layers[number_of_layer];
    const double sqnr = decibels(measured.own[number_of_layer].worst());
    const std::string name = quoted(graph_.value(layer.value).name);
    const std::string cause = str(name, " (", number(sqnr), " dB)");
    for (const std::size_t k : layer.quantizations) {
      const TwinQuantization& quantization = measured.twin.quantizations[k];
      const double rounding = decibels(measured.values[k].noise.worst());
      if (!quantization.constant || !destroyed(measured.values[k].noise)) continue;
      const std::string reason =
          str("8 bits leave its weight ",
              quoted(measured.twin.graph.value(quantization.reference).name), " ", number(rounding),
              " dB, less than the ", number(least_sqnr_), " of the guard");
      if (!read_in_float(layer.nodes, reason)) return false;
      causes_.push_back(cause);
      return true;
    }
    // check_value() has seen to it.
    if (layer.result && destroyed(measured.values[*layer.result].noise)) return false;
    const std::string reason =
        str("it magnifies the rounding of what it reads and of its weight: its result has ",
            number(sqnr), " dB, less than the ", number(least_sqnr_), " of the guard");
    bool changed = read_in_float(layer.nodes, reason);
    const std::string of_operands =
        str("the rounding of what it gives is magnified by ", name, ", whose result has ",
            number(sqnr), " dB, less than the ", number(least_sqnr_), " of the guard");
    // Layers that run in float hand on the rounding of what they read.
    std::vector<std::size_t> pending{number_of_layer};
    std::vector<bool> done(measured.twin.layers.size());
    while (!pending.empty()) {
      const std::size_t next = pending.back();
      pending.pop_back();
      if (done[next]) continue;
      done[next] = true;
      const TwinLayer& reader = measured.twin.layers[next];
      changed = read_in_float(reader.nodes, of_operands) || changed;
      for (const std::size_t k : reader.quantizations) {
        const TwinQuantization& quantization = measured.twin.quantizations[k];
        if (!quantization.constant)
          changed = give_in_float(quantization.value, of_operands) || changed;
      }
      pending.insert(pending.end(), reader.unquantized.begin(), reader.unquantized.end());
    }
    if (changed) causes_.push_back(cause);
    return changed;
  }

  bool read_in_float(const std::vector<NodeId>& nodes, const std::string& reason) {
    bool changed = false;
    for (const NodeId id : nodes) {
      if (reads_in_float_[id] || !reads_in_8_bits(id)) continue;
      reads_in_float_[id] = reason;
      changed = true;
    }
    return changed;
  }

  // The value's other readers may quantize it for themselves. A producer that shares its scale with
  // what it reads, as one that moves elements does, does not read it in 8 bits either.
  bool give_in_float(ValueId value, const std::string& reason) {
    bool changed = false;
    std::vector<ValueId> pending{value};
    std::set<ValueId> done;
    while (!pending.empty()) {
      const ValueId next = pending.back();
      pending.pop_back();
      const auto group = group_of_result_.find(next);
      if (group == group_of_result_.end() || !done.insert(next).second) continue;
      if (!result_in_float_[next]) {
        result_in_float_[next] = reason;
        changed = true;
      }
      const NodeId producer = graph_.value(next).producer;
      if (producer == kNone) continue;
      for (const Site& site : model_.placement.sites) {
        if (site.group != group->second) continue;
        if (std::ranges::find(site.readers, producer) == site.readers.end()) continue;
        if (!reads_in_float_[producer]) {
          reads_in_float_[producer] = reason;
          changed = true;
        }
        pending.push_back(site.value);
      }
    }
    return changed;
  }

  [[nodiscard]] bool reads_in_8_bits(NodeId id) const {
    return std::ranges::any_of(model_.placement.sites, [&](const Site& site) {
      return std::ranges::find(site.readers, id) != site.readers.end();
    });
  }

  // The value, and with it results that share its scale, as those of a pooling do.
  bool keep_in_float(ValueId first, const std::string& reason) {
    bool changed = false;
    std::vector<ValueId> pending{first};
    std::set<ValueId> done;
    while (!pending.empty()) {
      const ValueId value = pending.back();
      pending.pop_back();
      if (!done.insert(value).second) continue;
      if (group_of_result_.contains(value) && !result_in_float_[value]) {
        result_in_float_[value] = reason;
        changed = true;
      }
      for (const Site& site : model_.placement.sites) {
        if (site.value != value) continue;
        for (const NodeId reader : site.readers) {
          if (!reads_in_float_[reader]) {
            reads_in_float_[reader] = reason;
            changed = true;
          }
          for (const ValueId result : graph_.node(reader).outputs) {
            const auto group = group_of_result_.find(result);
            if (group != group_of_result_.end() && group->second == site.group)
              pending.push_back(result);
          }
        }
      }
    }
    return changed;
  }

  [[nodiscard]] std::string summary() const {
    return str("the guard leaves in float what 8 bits destroy: ", list(causes_), " (less than ",
               number(least_sqnr_),
               " dB of signal over noise, or values that vanish). explain() has each reason and "
               "analyze each layer's error; samples without outliers or set_observer_for_node may "
               "repair it, exclude_node leaves it in float for good, set_guard(None) in 8 bits");
  }

  const GuardedModel& model_;
  const Graph& graph_;
  double least_sqnr_;
  ModelOptions options_;
  std::vector<std::optional<std::string>> reads_in_float_;   // by node
  std::vector<std::optional<std::string>> result_in_float_;  // by value
  std::map<ValueId, std::size_t> group_of_result_;
  std::vector<std::string> causes_;
  std::vector<std::string> warnings_;
};

}  // namespace

Guarded all_sites(const Placement& placement) {
  Guarded guarded;
  guarded.remaining.sites = placement.sites;
  guarded.remaining.numbers.resize(placement.sites.size());
  std::iota(guarded.remaining.numbers.begin(), guarded.remaining.numbers.end(), std::size_t{0});
  return guarded;
}

Guarded guard(const GuardedModel& model, const KeptSamples& samples, double least_sqnr,
              const ModelOptions& options) {
  const auto did_not_run = [&](std::string_view why) {
    Guarded guarded = all_sites(model.placement);
    guarded.warnings.push_back(str("the guard could not look for what 8 bits destroy: ", why));
    return guarded;
  };
  if (samples.seen() == 0) {
    return did_not_run("no sample was run here; statistics and encodings have none");
  }
  std::vector<std::vector<Tensor>> usable;
  for (const std::vector<Tensor>& sample : samples.samples()) {
    if (fits(sample, model.inputs)) usable.push_back(sample);
  }
  if (usable.empty()) {
    return did_not_run("no sample has the sizes that the model was exported with");
  }
  Result<Guarded> guarded = Guard(model, least_sqnr, options).run(usable);
  return guarded.ok() ? std::move(guarded).value() : did_not_run(guarded.status().message());
}

std::vector<std::pair<std::string, std::string>> names_and_reasons(const Graph& graph,
                                                                   const Guarded& guarded) {
  std::vector<std::pair<std::string, std::string>> out;
  std::set<std::string> named;
  const auto add = [&](const std::string& name, const std::string& reason) {
    if (named.insert(name).second) out.emplace_back(name, reason);
  };
  for (const auto& [value, reason] : guarded.values) {
    const Node* producer = graph.producer(value);
    add(producer == nullptr ? graph.value(value).name : producer->name, reason);
  }
  for (const auto& [node, reason] : guarded.readers) add(graph.node(node).name, reason);
  return out;
}

void apply(const Graph& graph, const Guarded& guarded, Annotations& annotations) {
  const auto change = [&](NodeId id, const std::string& reason, const auto& take_away) {
    if (!annotations.annotated(id)) return;
    Annotation annotation = *annotations.node(id);
    take_away(annotation);
    if (annotation.inputs.empty() && !annotation.output) return annotations.clear(id, reason);
    annotations.set(id, std::move(annotation));
  };
  for (const auto& [id, reason] : guarded.readers)
    change(id, reason, [](Annotation& annotation) { annotation.inputs.clear(); });
  for (const auto& [id, reason] : guarded.values) {
    const NodeId producer = graph.value(id).producer;
    if (producer == kNone) {
      annotations.clear_input(id);
    } else {
      change(producer, reason, [](Annotation& annotation) { annotation.output.reset(); });
    }
  }
}

void explain_guarded(const Graph& graph, const Guarded& guarded, std::vector<Explanation>& rows) {
  const auto mark = [&](const std::string& name, const std::string& reason, const auto& change) {
    for (Explanation& row : rows) {
      if (row.name != name || row.decision == "in float") continue;
      if (row.kind != "node" && row.kind != "input") continue;
      change(row);
      if (row.operands.empty() && row.result.empty()) row.decision = "in float";
      row.reason = reason;
    }
  };
  for (const auto& [value, reason] : guarded.values) {
    const Node* producer = graph.producer(value);
    mark(producer == nullptr ? graph.value(value).name : producer->name, reason,
         [](Explanation& row) { row.result.clear(); });
  }
  for (const auto& [node, reason] : guarded.readers)
    mark(graph.node(node).name, reason, [](Explanation& row) { row.operands.clear(); });
}

std::vector<std::string> sample_warnings(const KeptSamples& samples) {
  if (samples.is_one()) {
    return {
        "calibration: one sample only: the ranges are those of this sample, and others will be "
        "clipped to them"};
  }
  if (samples.seen() > 1 && !samples.differ()) {
    return {str("calibration: all ", samples.seen(),
                " samples are the same: the ranges are those of one sample")};
  }
  return {};
}

}  // namespace enn

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file_io.hpp"
#include "base/sha256.hpp"
#include "enn/search.hpp"
#include "quantizer/json.hpp"

namespace enn {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kFormat = "openenn.search";
constexpr std::uint64_t kVersion = 1;

// A setting of the whole model that costs no speed.
struct Setting {
  const char* what;
  Status (*apply)(EnnQuantizer&);
};

// From each round the setting with the best metric is kept, if it is better than without; the
// rounds after it add to that.
const std::vector<std::vector<Setting>>& rounds() {
  static const std::vector<std::vector<Setting>> all = {
      {{"observer percentile", [](EnnQuantizer& q) { return q.set_observer("percentile"); }},
       {"observer histogram", [](EnnQuantizer& q) { return q.set_observer("histogram"); }},
       {"observer minmax", [](EnnQuantizer& q) { return q.set_observer("minmax"); }},
       {"observer moving_average",
        [](EnnQuantizer& q) { return q.set_observer("moving_average"); }},
       {"observer percentile for convolutions",
        [](EnnQuantizer& q) { return q.set_observer_for_operator("convolution", "percentile"); }},
       {"observer histogram for convolutions",
        [](EnnQuantizer& q) { return q.set_observer_for_operator("convolution", "histogram"); }}},
      {{"no bias correction",
        [](EnnQuantizer& q) -> Status {
          q.set_bias_correction(false);
          return {};
        }}},
      {{"learned rounding of weights",
        [](EnnQuantizer& q) { return q.set_weight_rounding("learned"); }}},
  };
  return all;
}

std::string key_of(const EnnQuantizer& quantizer) { return sha256(quantizer.to_json()); }

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

// JSON has no number that is not finite.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(str(value)); }

Result<double> metric_from(const Json& line) {
  const auto found = line.find("metric");
  if (found != line.end() && found->is_number()) return found->get<double>();
  if (found != line.end() && found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (text == "inf") return kInfinity;
    if (text == "-inf") return -kInfinity;
    return std::numeric_limits<double>::quiet_NaN();
  }
  return error(Code::InvalidArgument, "'metric' is missing or not a number");
}

std::vector<std::string> texts_from(const Json& object, std::string_view name) {
  std::vector<std::string> out;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return out;
  for (const Json& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

Json json_of(const SearchLayer& layer) {
  return {{"name", layer.name},
          {"modules", layer.modules},
          {"nodes", layer.nodes},
          {"contribution", number(layer.contribution)},
          {"macs", layer.macs}};
}

Result<SearchLayer> layer_from(const Json& json) {
  SearchLayer layer;
  ENN_ASSIGN(layer.name, string_from(json, "name"));
  ENN_ASSIGN(layer.macs, count_from(json, "macs"));
  layer.modules = texts_from(json, "modules");
  layer.nodes = texts_from(json, "nodes");
  const auto found = json.find("contribution");
  if (found != json.end() && found->is_number()) layer.contribution = found->get<double>();
  return layer;
}

std::string layers_text(std::size_t count) {
  return str(count, count == 1 ? " layer in float" : " layers in float");
}

}  // namespace

std::string SearchOutcome::recipe() const {
  Json document = Json::parse(quantizer.to_json(), nullptr, /*allow_exceptions=*/false);
  document["measured"] = {{"float_metric", number(float_metric)},
                          {"metric", number(metric)},
                          {"bound", number(bound)},
                          {"evaluations", evaluations}};
  document["decisions"] = Json::array();
  for (const SearchDecision& decision : decisions) {
    document["decisions"].push_back({{"what", decision.what},
                                     {"why", decision.why},
                                     {"metric_before", number(decision.metric_before)},
                                     {"metric_after", number(decision.metric_after)}});
  }
  return document.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

Result<AccuracySearch> AccuracySearch::create(SearchOptions options) {
  if (!options.min_metric && !(options.max_drop >= 0 && std::isfinite(options.max_drop))) {
    return error(Code::InvalidArgument, "max_drop is ", options.max_drop,
                 ", but a metric can drop by 0 or more");
  }
  AccuracySearch search(std::move(options));
  if (!search.options_.resume.empty()) {
    if (Status status = search.load(); !status.ok()) {
      return error(status.code(), search.options_.resume.string(), ": ", status.message());
    }
  }
  search.advance();
  return search;
}

Status AccuracySearch::load() {
  std::error_code none;
  if (!std::filesystem::exists(options_.resume, none)) {
    ENN_TRY(check_writable(options_.resume));
    lines_.push_back(
        text_of({{"format", kFormat}, {"version", kVersion}, {"subject", options_.subject}}));
    return {};
  }
  ENN_ASSIGN(const std::vector<std::byte> bytes, read_file(options_.resume));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
    ENN_ASSIGN(const Json json, parse_object(line, str("line ", lines_.size() + 1, "'s words")));
    if (lines_.empty()) {
      ENN_TRY(check_format(json, kFormat, kVersion));
      ENN_ASSIGN(const std::string subject, string_from(json, "subject"));
      if (subject != options_.subject) {
        return error(Code::InvalidArgument,
                     "it has evaluations of another model, other data or another metric");
      }
    } else {
      ENN_ASSIGN(const std::string key, string_from(json, "key"));
      if (const auto layers = json.find("layers"); layers != json.end() && layers->is_array()) {
        std::vector<SearchLayer>& ranked = layers_[key];
        ranked.clear();
        for (const Json& item : *layers) {
          ENN_ASSIGN(SearchLayer layer, layer_from(item));
          ranked.push_back(std::move(layer));
        }
      } else {
        ENN_ASSIGN(const double metric, metric_from(json));
        if (key == "float") {
          float_metric_ = metric;
        } else {
          metrics_[key] = metric;
        }
      }
    }
    lines_.push_back(line);
  }
  if (lines_.empty()) return error(Code::InvalidArgument, "it is empty");
  return {};
}

Status AccuracySearch::record(const std::string& line) {
  if (options_.resume.empty()) return {};
  lines_.push_back(line);
  std::string text;
  for (const std::string& item : lines_) text += item + "\n";
  return write_file_atomically(options_.resume, std::as_bytes(std::span(text)));
}

Status AccuracySearch::tell(double metric) {
  const std::string key = step_ == Step::MeasureFloat ? "float" : key_of(quantizer_);
  if (step_ == Step::MeasureFloat) {
    if (std::isnan(metric)) {
      return error(Code::InvalidArgument, "the float model's metric is not a number");
    }
    if (!options_.min_metric && !std::isfinite(metric)) {
      return error(Code::InvalidArgument, "the float model's metric is ", metric,
                   ", and nothing is a drop from it: give the least metric itself");
    }
    float_metric_ = metric;
  } else {
    metrics_[key] = metric;
  }
  ++measured_;
  ENN_TRY(record(text_of({{"key", key}, {"trial", trial_}, {"metric", number(metric)}})));
  advance();
  return {};
}

Status AccuracySearch::tell(std::vector<SearchLayer> layers) {
  Json line = {{"key", key_of(quantizer_)}, {"layers", Json::array()}};
  for (const SearchLayer& layer : layers) line["layers"].push_back(json_of(layer));
  layers_[key_of(quantizer_)] = std::move(layers);
  ENN_TRY(record(text_of(line)));
  advance();
  return {};
}

std::size_t AccuracySearch::expected_evaluations() const {
  std::size_t count = 1;
  for (const std::vector<Setting>& round : rounds()) count += round.size();
  if (candidates_ > 0) {
    const auto doublings = static_cast<std::size_t>(std::bit_width(candidates_));
    count = std::max(evaluations_ + 1, std::min(count + 2 * doublings, options_.max_evaluations));
  }
  return count;
}

std::string AccuracySearch::status(double seconds) const {
  constexpr std::size_t kWidth = 30;
  const std::size_t expected = std::max(expected_evaluations(), evaluations_ + 1);
  const std::size_t filled = kWidth * evaluations_ / expected;
  std::string text = str('[', std::string(filled, '#'), std::string(kWidth - filled, ' '), "] ",
                         evaluations_, '/', expected, ' ', trial_);
  if (measured_ == 0) return text;
  const double left =
      seconds / static_cast<double>(measured_) * static_cast<double>(expected - evaluations_);
  return str(text, ", about ", std::llround(left), " s left");
}

void AccuracySearch::advance() {
  evaluations_ = 0;
  candidates_ = 0;
  decisions_.clear();
  if (!float_metric_) {
    step_ = Step::MeasureFloat;
    trial_ = "float";
    return;
  }
  bound_ = *float_metric_ -
           (options_.relative ? options_.max_drop * std::fabs(*float_metric_) : options_.max_drop);
  if (options_.min_metric) bound_ = *options_.min_metric;
  if (run()) step_ = Step::Done;
}

bool AccuracySearch::ask(const EnnQuantizer& quantizer, const std::string& trial, double& metric) {
  const auto found = metrics_.find(key_of(quantizer));
  if (found == metrics_.end()) {
    step_ = Step::Evaluate;
    quantizer_ = quantizer;
    trial_ = trial;
    return false;
  }
  ++evaluations_;
  metric = found->second;
  return true;
}

void AccuracySearch::end(const Trial& trial, std::vector<SearchLayer> layers) {
  outcome_ = {trial.quantizer, *float_metric_,    trial.metric, bound_,
              evaluations_,    std::move(layers), decisions_};
}

void AccuracySearch::give_up(double metric, std::string tried) {
  failure_ =
      str("the metric cannot be kept at ", bound_, " (in float it is ", *float_metric_, "): with ",
          tried, " it is ", metric, "; allow a larger drop or more layers in float");
}

bool AccuracySearch::run() {
  Trial best{options_.quantizer, 0};
  if (!ask(best.quantizer, "as configured", best.metric)) return false;
  if (best.metric >= bound_) {
    end(best, {});
    return true;
  }
  if (!choose_settings(best)) return false;
  if (outcome_) return true;
  return choose_layers(best);
}

bool AccuracySearch::choose_settings(Trial& best) {
  for (const std::vector<Setting>& round : rounds()) {
    Trial chosen = best;
    const char* what = nullptr;
    for (const Setting& setting : round) {
      Trial trial = best;
      if (!setting.apply(trial.quantizer).ok()) continue;
      if (trial.quantizer.to_json() == best.quantizer.to_json()) continue;
      if (!ask(trial.quantizer, setting.what, trial.metric)) return false;
      if (!(trial.metric > chosen.metric) && !(trial.metric >= bound_)) continue;
      chosen = trial;
      what = setting.what;
      if (chosen.metric >= bound_) break;
    }
    if (what == nullptr) continue;
    const bool enough = chosen.metric >= bound_;
    decisions_.push_back({what,
                          enough ? "with it the metric is within the bound, fully in 8 bits"
                                 : "the best of the settings that were compared",
                          best.metric, chosen.metric});
    best = chosen;
    if (!enough) continue;
    end(best, {});
    return true;
  }
  return true;
}

EnnQuantizer AccuracySearch::without(const EnnQuantizer& quantizer,
                                     std::span<const SearchLayer> layers) const {
  EnnQuantizer out = quantizer;
  for (const SearchLayer& layer : layers) {
    for (const std::string& module : layer.modules) out.exclude_module(module);
    for (const std::string& node : layer.nodes) out.exclude_node(node);
  }
  return out;
}

bool AccuracySearch::choose_layers(const Trial& best) {
  const auto found = layers_.find(key_of(best.quantizer));
  if (found == layers_.end()) {
    step_ = Step::Rank;
    quantizer_ = best.quantizer;
    trial_ = "the contribution of each layer";
    return false;
  }
  const std::vector<SearchLayer>& ranked = found->second;
  candidates_ = ranked.size();
  const std::size_t limit =
      options_.max_layers == 0 ? ranked.size() : std::min(options_.max_layers, ranked.size());
  const std::span<const SearchLayer> all(ranked);
  std::map<std::size_t, double> metrics;
  const auto ask_first = [&](std::size_t count) {
    return ask(without(best.quantizer, all.first(count)), layers_text(count), metrics[count]);
  };
  // The first 1, 2, 4, … layers, then the fewest between the last two.
  std::size_t failed = 0;
  std::size_t passed = std::min<std::size_t>(1, limit);
  while (passed > 0) {
    if (!ask_first(passed)) return false;
    if (metrics[passed] >= bound_) break;
    failed = passed;
    passed = std::min(2 * passed, limit);
    if (passed == failed) passed = 0;
  }
  if (passed == 0) {
    double most = best.metric;
    std::size_t count = 0;
    for (const auto& [tried, metric] : metrics) {
      if (!(metric > most)) continue;
      most = metric;
      count = tried;
    }
    give_up(most, count == 0 ? "the best settings and no layer in float" : layers_text(count));
    return true;
  }
  while (passed - failed > 1) {
    const std::size_t middle = failed + (passed - failed) / 2;
    if (!ask_first(middle)) return false;
    (metrics[middle] >= bound_ ? passed : failed) = middle;
  }
  Trial chosen{without(best.quantizer, all.first(passed)), metrics[passed]};
  std::vector<SearchLayer> excluded(ranked.begin(),
                                    ranked.begin() + static_cast<std::ptrdiff_t>(passed));
  double before = best.metric;
  for (std::size_t i = 0; i < excluded.size(); ++i) {
    // The metric of each step was asked for where the search went through it.
    const auto after = metrics.find(i + 1);
    const double metric = after == metrics.end() ? chosen.metric : after->second;
    decisions_.push_back({excluded[i].name + " in float",
                          str("number ", i + 1, " of ", ranked.size(),
                              " layers, ranked by what each adds to the error of the outputs"),
                          before, metric});
    before = metric;
  }
  // The dearest first. The last that was added is needed, as far as the search knows.
  std::vector<SearchLayer> tried(excluded.begin(), excluded.end() - 1);
  std::ranges::sort(tried, [](const SearchLayer& a, const SearchLayer& b) {
    return a.macs != b.macs ? a.macs > b.macs : a.name < b.name;
  });
  for (const SearchLayer& layer : tried) {
    if (evaluations_ >= options_.max_evaluations) break;
    std::vector<SearchLayer> fewer = excluded;
    std::erase_if(fewer, [&](const SearchLayer& other) { return other.name == layer.name; });
    Trial trial{without(best.quantizer, fewer), 0};
    if (!ask(trial.quantizer, layer.name + " in 8 bits again", trial.metric)) return false;
    if (!(trial.metric >= bound_)) continue;
    decisions_.push_back({layer.name + " in 8 bits again",
                          "the metric stays within the bound without it in float", chosen.metric,
                          trial.metric});
    excluded = std::move(fewer);
    chosen = trial;
  }
  end(chosen, std::move(excluded));
  return true;
}

Result<SearchOutcome> AccuracySearch::outcome() const {
  if (outcome_) return *outcome_;
  return error(Code::InvalidArgument, failure_.empty() ? "the search is not done" : failure_);
}

}  // namespace enn

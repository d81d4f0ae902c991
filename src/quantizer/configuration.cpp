// What a user sets on EnnQuantizer, and its JSON.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/regex.hpp"
#include "enn/quantizer.hpp"
#include "quantizer/explain.hpp"
#include "quantizer/json.hpp"
#include "quantizer/overrides.hpp"

namespace enn {

namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "openenn.quantizer";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxPattern = 1000;
constexpr double kMostDecibels = 100;

Status check_observer(std::string_view name) {
  if (observer_of_name(name)) return {};
  return error(Code::InvalidArgument, "observer '", printable(name), "' is not known; there are ",
               list_str(observer_names()));
}

std::string_view name_of(Compatibility compatibility) {
  return compatibility == Compatibility::Upstream ? "UPSTREAM" : "DEFAULT";
}

// `standard` when it is absent.
Result<bool> bool_from(const json& object, std::string_view name, bool standard) {
  const auto found = object.find(name);
  if (found == object.end()) return standard;
  if (!found->is_boolean())
    return error(Code::InvalidArgument, "'", name, "' is not true or false");
  return found->get<bool>();
}

Result<std::string> text_from(const json& object, std::string_view name, std::string standard) {
  if (!object.contains(name)) return standard;
  return string_from(object, name);
}

Result<std::string> pattern_from(const json& object, std::string_view name) {
  ENN_ASSIGN(std::string pattern, string_from(object, name));
  if (pattern.size() > kMaxPattern) {
    return error(Code::InvalidArgument, "'", name, "' is too long");
  }
  if (const Status status = check_pattern(pattern); !status.ok()) {
    return error(Code::InvalidArgument, "'", name, "': ", status.message());
  }
  return pattern;
}

// A misspelt key would be a setting that is not made.
Status check_keys(const json& object, std::string_view name,
                  const std::vector<std::string_view>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    return error(Code::InvalidArgument, "the key '", printable(key), "' is not known in ", name,
                 "; there are ", list_str(known));
  }
  return {};
}

// What an item of "observers" or "excluded" names: one of them, or a module and an operator in it.
struct Subject {
  std::optional<std::string> op;
  std::optional<std::string> module;  // as module_selector() takes it
  std::optional<std::string> node;
};

Result<Subject> subject_of(const json& item, std::string_view list) {
  const auto wrong = [&] {
    return error(Code::InvalidArgument, "an item of '", list,
                 "' names an 'operator', a 'module', both, or a 'node'");
  };
  Subject subject;
  if (item.contains("node")) {
    if (item.contains("operator") || item.contains("module")) return wrong();
    ENN_ASSIGN(subject.node, pattern_from(item, "node"));
    return subject;
  }
  if (item.contains("operator")) {
    ENN_ASSIGN(subject.op, string_from(item, "operator"));
    ENN_TRY(check_operator(*subject.op));
  }
  if (item.contains("module")) {
    ENN_ASSIGN(subject.module, pattern_from(item, "module"));
    if (subject.op) *subject.module += ":" + *subject.op;
    if (subject.op) subject.op.reset();
  }
  if (!subject.op && !subject.module) return wrong();
  return subject;
}

json json_of_module(std::string_view text) {
  const ModuleSelector selector = module_selector(text);
  json item = {{"module", selector.module}};
  if (!selector.op.empty()) item["operator"] = selector.op;
  return item;
}

// The members of the array object[name], each an object; none when it is absent.
Result<std::vector<json>> objects_from(const json& object, std::string_view name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::vector<json>();
  if (!found->is_array() || !std::all_of(found->begin(), found->end(),
                                         [](const json& item) { return item.is_object(); })) {
    return error(Code::InvalidArgument, "'", name, "' is not a list of objects");
  }
  return std::vector<json>(found->begin(), found->end());
}

}  // namespace

std::vector<std::string_view> observer_names() {
  return {"minmax", "moving_average", "histogram", "percentile", "mse", "kl"};
}

std::vector<std::string_view> weight_rounding_names() { return {"nearest", "learned"}; }

std::optional<Observer> observer_of_name(std::string_view name) {
  if (name == "minmax") return Observer::MinMax;
  if (name == "moving_average") return Observer::MovingAverageMinMax;
  if (name == "histogram") return Observer::Histogram;
  if (name == "percentile") return Observer::Percentile;
  if (name == "mse") return Observer::Mse;
  if (name == "kl") return Observer::Kl;
  return std::nullopt;
}

Status EnnQuantizer::set_observer(std::string_view observer) {
  ENN_TRY(check_observer(observer));
  observer_ = observer;
  return {};
}

Status EnnQuantizer::set_observer_for_operator(std::string_view op, std::string_view observer) {
  ENN_TRY(check_operator(op));
  ENN_TRY(check_observer(observer));
  operators_.push_back({std::string(op), std::string(observer)});
  return {};
}

Status EnnQuantizer::set_observer_for_node(std::string_view pattern, std::string_view observer) {
  ENN_TRY(check_observer(observer));
  nodes_.push_back({std::string(pattern), std::string(observer)});
  return {};
}

Status EnnQuantizer::set_observer_for_module(std::string_view pattern, std::string_view observer) {
  ENN_TRY(check_observer(observer));
  modules_.push_back({std::string(pattern), std::string(observer)});
  return {};
}

Status EnnQuantizer::set_weight_rounding(std::string_view rounding) {
  if (rounding != "nearest" && rounding != "learned") {
    return error(Code::InvalidArgument, "weight rounding '", printable(rounding),
                 "' is not known; there are ", list_str(weight_rounding_names()));
  }
  learned_rounding_ = rounding == "learned";
  return {};
}

Status EnnQuantizer::set_guard(std::optional<double> least_sqnr) {
  if (least_sqnr && !(*least_sqnr >= 0 && *least_sqnr <= kMostDecibels)) {
    return error(Code::InvalidArgument, "the guard's least signal over noise is ", *least_sqnr,
                 " dB; it can be a number from 0 to ", kMostDecibels, ", or none");
  }
  guard_ = least_sqnr;
  return {};
}

void EnnQuantizer::exclude_node(std::string_view pattern) { excluded_nodes_.emplace_back(pattern); }

void EnnQuantizer::exclude_module(std::string_view pattern) {
  excluded_modules_.emplace_back(pattern);
}

Status EnnQuantizer::exclude_operator(std::string_view op) {
  ENN_TRY(check_operator(op));
  excluded_operators_.emplace_back(op);
  return {};
}

std::string EnnQuantizer::to_json() const {
  json document = {{"format", kFormat},
                   {"version", kVersion},
                   {"precision", "A8W8"},
                   {"compatibility", name_of(compatibility_)},
                   {"is_per_channel", is_per_channel_},
                   {"is_qat", is_qat_},
                   {"bias_correction", bias_correction_}};
  if (learned_rounding_) document["weight_rounding"] = "learned";
  if (repair_) document["repair"] = true;
  if (guard_ != kDefaultGuard) document["guard"] = guard_ ? json(*guard_) : json(nullptr);
  if (!observer_.empty()) document["observer"] = observer_;
  for (const Override& item : operators_) {
    document["observers"].push_back({{"operator", item.subject}, {"observer", item.observer}});
  }
  for (const Override& item : modules_) {
    json& added = document["observers"].emplace_back(json_of_module(item.subject));
    added["observer"] = item.observer;
  }
  for (const Override& item : nodes_) {
    document["observers"].push_back({{"node", item.subject}, {"observer", item.observer}});
  }
  for (const std::string& op : excluded_operators_)
    document["excluded"].push_back({{"operator", op}});
  for (const std::string& module : excluded_modules_)
    document["excluded"].push_back(json_of_module(module));
  for (const std::string& node : excluded_nodes_) document["excluded"].push_back({{"node", node}});
  return document.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
}

Result<EnnQuantizer> EnnQuantizer::from_json(std::string_view text) {
  ENN_ASSIGN(const json document, parse_object(text, "the quantizer's configuration"));
  ENN_TRY(check_format(document, kFormat, kVersion));
  // "decisions" and "measured" say how a recipe came about, "comment" is the writer's.
  ENN_TRY(check_keys(document, "the recipe",
                     {"format", "version", "precision", "compatibility", "is_per_channel", "is_qat",
                      "bias_correction", "weight_rounding", "repair", "guard", "observer",
                      "observers", "excluded", "decisions", "measured", "comment"}));
  ENN_ASSIGN(const std::string compatibility, text_from(document, "compatibility", "DEFAULT"));
  ENN_ASSIGN(const std::string precision, text_from(document, "precision", "A8W8"));
  ENN_ASSIGN(const Compatibility placement, compatibility_from_string(compatibility));
  ENN_ASSIGN(const Precision kind, precision_from_string(precision));
  ENN_ASSIGN(const bool is_per_channel, bool_from(document, "is_per_channel", true));
  ENN_ASSIGN(const bool is_qat, bool_from(document, "is_qat", false));
  ENN_ASSIGN(const bool bias_correction, bool_from(document, "bias_correction", true));
  EnnQuantizer quantizer(placement);
  quantizer.set_bias_correction(bias_correction);
  quantizer.set_quant_params(kind, is_per_channel, is_qat);
  ENN_ASSIGN(const std::string rounding, text_from(document, "weight_rounding", "nearest"));
  ENN_TRY(quantizer.set_weight_rounding(rounding));
  ENN_ASSIGN(const bool repair, bool_from(document, "repair", false));
  quantizer.set_repair(repair);
  if (const auto guard = document.find("guard"); guard != document.end()) {
    if (!guard->is_number() && !guard->is_null())
      return error(Code::InvalidArgument, "'guard' is neither a number (of dB) nor null");
    ENN_TRY(quantizer.set_guard(guard->is_null() ? std::nullopt
                                                 : std::optional<double>(guard->get<double>())));
  }
  if (document.contains("observer")) {
    ENN_ASSIGN(const std::string observer, string_from(document, "observer"));
    ENN_TRY(quantizer.set_observer(observer));
  }
  ENN_ASSIGN(const std::vector<json> observers, objects_from(document, "observers"));
  for (const json& item : observers) {
    ENN_TRY(check_keys(item, "an item of 'observers'",
                       {"operator", "module", "node", "observer", "comment"}));
    ENN_ASSIGN(const std::string observer, string_from(item, "observer"));
    ENN_ASSIGN(const Subject subject, subject_of(item, "observers"));
    if (subject.op) ENN_TRY(quantizer.set_observer_for_operator(*subject.op, observer));
    if (subject.module) ENN_TRY(quantizer.set_observer_for_module(*subject.module, observer));
    if (subject.node) ENN_TRY(quantizer.set_observer_for_node(*subject.node, observer));
  }
  ENN_ASSIGN(const std::vector<json> excluded, objects_from(document, "excluded"));
  for (const json& item : excluded) {
    ENN_TRY(check_keys(item, "an item of 'excluded'", {"operator", "module", "node", "comment"}));
    ENN_ASSIGN(const Subject subject, subject_of(item, "excluded"));
    if (subject.op) ENN_TRY(quantizer.exclude_operator(*subject.op));
    if (subject.module) quantizer.exclude_module(*subject.module);
    if (subject.node) quantizer.exclude_node(*subject.node);
  }
  return quantizer;
}

}  // namespace enn

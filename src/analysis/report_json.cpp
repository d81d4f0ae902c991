#include <cmath>
#include <nlohmann/json.hpp>

#include "enn/analyze.hpp"

namespace enn {
namespace {

using Ordered = nlohmann::ordered_json;

Ordered number(double value) { return std::isfinite(value) ? Ordered(value) : Ordered(nullptr); }

Ordered json_of(const ErrorFigures& error) {
  return {{"sqnr", number(error.sqnr)},
          {"cosine", number(error.cosine)},
          {"max_difference", number(error.max_difference)}};
}

Ordered json_of(const QuantizedValue& value) {
  Ordered out = {{"name", value.name},
                 {"low", number(value.low)},
                 {"high", number(value.high)},
                 {"mean_magnitude", number(value.mean_magnitude)},
                 {"chosen_low", number(value.chosen_low)},
                 {"chosen_high", number(value.chosen_high)},
                 {"scale", number(value.scale)},
                 {"zero_point", value.zero_point},
                 {"clipped", number(value.clipped)},
                 {"rounding", json_of(value.rounding)},
                 {"histogram", nullptr},
                 {"channel_scales", value.channel_scales},
                 {"channel_peaks", value.channel_peaks}};
  if (!value.values.counts.empty()) {
    out["histogram"] = {{"low", number(value.values.low)},
                        {"high", number(value.values.high)},
                        {"counts", value.values.counts}};
  }
  return out;
}

Ordered json_of(const std::vector<QuantizedValue>& values) {
  Ordered out = Ordered::array();
  for (const QuantizedValue& value : values) out.push_back(json_of(value));
  return out;
}

Ordered json_of(const std::vector<OutputAnalysis>& outputs) {
  Ordered out = Ordered::array();
  for (const OutputAnalysis& output : outputs) {
    Ordered item = {{"name", output.name}};
    item.update(json_of(output.error));
    out.push_back(std::move(item));
  }
  return out;
}

Ordered json_of(const LayerAnalysis& layer) {
  Ordered remedies = Ordered::array();
  for (const Remedy& remedy : layer.remedies)
    remedies.push_back({{"kind", remedy.kind}, {"text", remedy.text}});
  return {{"name", layer.name},
          {"nodes", layer.nodes},
          {"op", layer.op},
          {"target", layer.target},
          {"module", layer.module_path},
          {"source", layer.source},
          {"operands", layer.operands},
          {"isolated", json_of(layer.isolated)},
          {"accumulated", json_of(layer.accumulated)},
          {"own_noise", number(layer.own_noise)},
          {"contribution", number(layer.contribution)},
          {"alone", layer.alone ? json_of(*layer.alone) : Ordered(nullptr)},
          {"result", layer.result ? json_of(*layer.result) : Ordered(nullptr)},
          {"weights", json_of(layer.weights)},
          {"reads", layer.reads},
          {"remedies", std::move(remedies)}};
}

}  // namespace

std::string AnalysisReport::to_json() const {
  Ordered items = Ordered::array();
  for (const LayerAnalysis& layer : layers) items.push_back(json_of(layer));
  Ordered others = Ordered::object();
  for (const auto& [name, results] : programs) others[name] = json_of(results);
  const Ordered document = {{"format", "openenn.analysis"},
                            {"version", 1},
                            {"samples", samples},
                            {"outputs", json_of(outputs)},
                            {"programs", std::move(others)},
                            {"ranking", ranking},
                            {"inputs", json_of(inputs)},
                            {"layers", std::move(items)}};
  return document.dump(1, ' ', /*ensure_ascii=*/true, Ordered::error_handler_t::replace) + "\n";
}

}  // namespace enn

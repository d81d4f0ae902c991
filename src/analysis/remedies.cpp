#include "analysis/remedies.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/numbers.hpp"
#include "base/printable.hpp"
#include "enn/result.hpp"

namespace enn {
namespace {

constexpr double kMuchClipped = 0.005;     // share of the values
constexpr double kTooWide = 3.0;           // the chosen range over the one that was seen
constexpr double kSteps = 255.0;           // of 8 bits
constexpr double kUnevenChannels = 16.0;   // the largest magnitude of a channel over the median's
constexpr double kUnevenOperands = 8.0;    // of two operands that are joined
constexpr double kFewSteps = 16.0;         // of the 127 that a weight could use
constexpr double kDecibelsOf8Bits = 48.0;  // that 16 bits have beyond 8
constexpr double kPassedOn = 6.0;          // dB that a layer may lose of what it is given

std::string range(double low, double high) {
  return "[" + short_number(low) + ", " + short_number(high) + "]";
}

double peak(const QuantizedValue& value) {
  return std::max(std::fabs(value.low), std::fabs(value.high));
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

bool joins(const LayerAnalysis& layer) {
  return layer.op == "concat" || layer.op == "stack" || layer.op == "add";
}

class Advisor {
 public:
  Advisor(const LayerAnalysis& layer, const Surroundings& surroundings)
      : layer_(layer), surroundings_(surroundings), operands_(operands_of(layer)) {}

  std::vector<Remedy> run() {
    check_joined_operands();
    if (!(layer_.isolated.sqnr < kPoorSqnr)) return std::move(remedies_);
    if (layer_.result) check_result(*layer_.result);
    for (const QuantizedValue& weight : layer_.weights) check_weight(weight);
    check_operands();
    if (layer_.result && layer_.result->rounding.sqnr < kPoorSqnr && remedies_.empty()) {
      add("16_bits",
          str("its values fill their range unevenly: 8 bits give its result ",
              short_number(layer_.result->rounding.sqnr), " dB, 16 bits would give about ",
              short_number(layer_.result->rounding.sqnr + kDecibelsOf8Bits)));
    }
    if (!only_operand_) add("exclude", str("left in float, ", exclusion(), ", it makes no error"));
    return std::move(remedies_);
  }

 private:
  void add(std::string kind, std::string text) {
    remedies_.push_back({std::move(kind), std::move(text)});
  }

  [[nodiscard]] std::vector<const QuantizedValue*> operands_of(const LayerAnalysis& layer) const {
    std::vector<const QuantizedValue*> operands;
    for (const std::string& name : layer.reads) {
      const auto found = surroundings_.values.find(name);
      if (found != surroundings_.values.end()) operands.push_back(found->second);
    }
    return operands;
  }

  [[nodiscard]] std::string exclusion() const {
    return str("exclude_node(\"", printable_text(layer_.nodes.front()), "\")");
  }

  // Whether one of the operands has a scale that another's range asks for.
  bool separate_scales_of(const LayerAnalysis& joining, std::string_view which) {
    const std::vector<const QuantizedValue*> operands = operands_of(joining);
    if (operands.size() < 2) return false;
    const auto by_peak = [](const QuantizedValue* value) { return peak(*value); };
    const QuantizedValue& small = **std::ranges::min_element(operands, {}, by_peak);
    const QuantizedValue& large = **std::ranges::max_element(operands, {}, by_peak);
    const bool uneven = peak(small) > 0 && peak(large) >= kUnevenOperands * peak(small);
    if (!uneven || !(small.rounding.sqnr < kPoorSqnr)) return false;
    add("separate_scales",
        str(which, " '", printable_text(large.name), "' lies in ", range(large.low, large.high),
            " and '", printable_text(small.name), "' in ", range(small.low, small.high),
            ", which leaves that ", short_number(small.rounding.sqnr),
            " dB: joined in float, exclude_node(\"", printable_text(joining.nodes.front()),
            "\"), each keeps a scale that suits it"));
    return true;
  }

  void check_joined_operands() {
    if (joins(layer_)) (void)separate_scales_of(layer_, "of its operands, which share one scale,");
  }

  void check_result(const QuantizedValue& result) {
    if (!(result.rounding.sqnr < kPoorSqnr)) return;
    const double seen = std::max(result.high, 0.0) - std::min(result.low, 0.0);
    const double chosen = result.chosen_high - result.chosen_low;
    const auto joined = surroundings_.joined_by.find(result.name);
    if (result.clipped >= kMuchClipped) {
      add("range",
          str(short_number(100 * result.clipped), " % of its result lie outside of ",
              range(result.chosen_low, result.chosen_high),
              ", to which it is quantized: its values reach ", range(result.low, result.high),
              "; calibrate on data like these, or take the observer minmax"));
    } else if (seen > 0 && chosen > kTooWide * seen) {
      const bool separated =
          joined != surroundings_.joined_by.end() &&
          separate_scales_of(*joined->second,
                             str("its result shares one scale in '",
                                 printable_text(joined->second->nodes.front()), "':"));
      if (separated) return;
      add("range", str("its result is quantized to ", range(result.chosen_low, result.chosen_high),
                       ", but its values lie in ", range(result.low, result.high),
                       ": calibrate on data like these, or correct its encoding"));
    }
    check_channels(result, "its result");
    if (chosen / kSteps > result.mean_magnitude && result.mean_magnitude > 0) {
      add("observer", str("outliers make its range: its mean magnitude ",
                          short_number(result.mean_magnitude), " is less than one of the ", kSteps,
                          " steps of ", range(result.chosen_low, result.chosen_high),
                          "; the observer percentile or mse cuts them off"));
    }
  }

  void check_channels(const QuantizedValue& result, const std::string& which) {
    if (result.channel_peaks.size() < 2) return;
    const auto largest = std::ranges::max_element(result.channel_peaks);
    const double typical = median(result.channel_peaks);
    if (typical <= 0 || *largest < kUnevenChannels * typical) return;
    add("equalize",
        str("channel ", largest - result.channel_peaks.begin(), " of ", which, " reaches ",
            short_number(*largest), ", the median channel ", short_number(typical),
            ": one scale does not suit both; equalize the channels with those of the "
            "layer that reads them"));
  }

  void check_weight(const QuantizedValue& weight) {
    if (!(weight.rounding.sqnr < kPoorSqnr)) return;
    const double steps = peak(weight) / weight.scale;
    if (steps < kFewSteps && weight.scale > 0) {
      add("range", str("its weight '", printable_text(weight.name), "' reaches ",
                       short_number(steps), " of 127 steps: its scale ", short_number(weight.scale),
                       " is too large for values in ", range(weight.low, weight.high)));
    } else if (weight.channel_scales.empty() && weight.channel_peaks.size() > 1) {
      add("per_channel", str("its weight '", printable_text(weight.name),
                             "' has one scale, its channels reach from ",
                             short_number(std::ranges::min(weight.channel_peaks)), " to ",
                             short_number(std::ranges::max(weight.channel_peaks)),
                             ": one scale for each channel suits them"));
    } else if (weight.clipped >= kMuchClipped) {
      add("range", str(short_number(100 * weight.clipped), " % of its weight '",
                       printable_text(weight.name), "' lie outside of what its scales reach"));
    }
  }

  // Whether the error came in with an operand, or the layer amplifies a small one.
  void check_operands() {
    const QuantizedValue* worst = nullptr;
    for (const QuantizedValue* operand : operands_) {
      check_channels(*operand, str("'", printable_text(operand->name), "', which it reads,"));
      if (worst == nullptr || operand->rounding.sqnr < worst->rounding.sqnr) worst = operand;
    }
    if (worst == nullptr || !remedies_.empty()) return;
    if (worst->rounding.sqnr < layer_.isolated.sqnr + kPassedOn) {
      only_operand_ = worst->rounding.sqnr < kPoorSqnr;
      add("operand", str("its error comes with the quantization of '", printable_text(worst->name),
                         "' (", short_number(worst->rounding.sqnr), " dB)"));
    } else if (!layer_.result || layer_.result->rounding.sqnr >= kPoorSqnr) {
      add("exclude",
          str("it magnifies the rounding of what it reads: '", printable_text(worst->name),
              "' has ", short_number(worst->rounding.sqnr), " dB, its result ",
              short_number(layer_.isolated.sqnr), "; in float, ", exclusion(), ", it does not"));
      only_operand_ = true;
    }
  }

  const LayerAnalysis& layer_;
  const Surroundings& surroundings_;
  std::vector<const QuantizedValue*> operands_;
  std::vector<Remedy> remedies_;
  bool only_operand_ = false;
};

}  // namespace

Surroundings::Surroundings(const AnalysisReport& report) {
  for (const QuantizedValue& value : report.inputs) values.emplace(value.name, &value);
  for (const LayerAnalysis& layer : report.layers) {
    if (layer.result) values.emplace(layer.result->name, &*layer.result);
    if (!joins(layer)) continue;
    for (const std::string& name : layer.reads) joined_by.emplace(name, &layer);
  }
}

std::vector<Remedy> remedies_of(const LayerAnalysis& layer, const Surroundings& surroundings) {
  return Advisor(layer, surroundings).run();
}

}  // namespace enn

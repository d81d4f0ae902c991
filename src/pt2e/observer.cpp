#include "pt2e/observer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "kernels/range/range.hpp"
#include "kernels/split.hpp"
#include "pt2e/cpu.hpp"
#include "pt2e/histogram.hpp"
#include "pt2e/names.hpp"
#include "quantizer/explain.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

using Json = nlohmann::json;

constexpr float kAveraging = 0.01F;    // torchao's averaging_constant
constexpr double kPercentile = 99.99;  // of the values, at either end
constexpr float kMostCounts = 1e18F;   // in a bin of a file
constexpr float kMaxFloat = std::numeric_limits<float>::max();

Range range_of(std::span<const float> values, Parallel& parallel) {
  const auto size = static_cast<std::int64_t>(values.size());
  const std::int64_t parts = part_count(size, sizeof(float), parallel.thread_count());
  std::vector<Range> partial(static_cast<std::size_t>(parts));
  const auto& kernel = best_kernel(kMinMaxKernels, observer_features());
  auto task = [&](int part) {
    const std::int64_t begin = part_begin(size, parts, part);
    kernel.run(values.data() + begin, part_begin(size, parts, part + 1) - begin,
               partial[static_cast<std::size_t>(part)]);
  };
  parallel.run(static_cast<int>(parts), task);
  Range range;
  for (const Range& part : partial) {
    range.low = std::min(range.low, part.low);
    range.high = std::max(range.high, part.high);
    range.nans += part.nans;
    range.infinities += part.infinities;
  }
  return range;
}

QuantParams params_of(const QuantizationSpec& spec, const std::vector<ScaleAndZeroPoint>& items) {
  QuantParams params;
  params.axis = spec.qscheme == QScheme::PerChannelSymmetric ? spec.ch_axis : -1;
  params.quant_min = spec.quant_min;
  params.quant_max = spec.quant_max;
  for (const auto& [scale, zero_point] : items) {
    params.scales.push_back(scale);
    params.zero_points.push_back(zero_point);
  }
  return params;
}

Status cannot_merge() {
  return error(Code::InvalidArgument, "observers of different kinds cannot be merged");
}

// What all observers do: NaN and infinity are remembered, and make qparams() fail.
class ObserverBase : public RangeObserver {
 public:
  explicit ObserverBase(QuantizationSpec spec) : spec_(std::move(spec)) {}

  [[nodiscard]] Observed observed() const override {
    if (nans_) return Observed::Nan;
    if (infinities_) return Observed::Infinite;
    return empty() ? Observed::Nothing : Observed::Finite;
  }

 protected:
  [[nodiscard]] const QuantizationSpec& spec() const { return spec_; }

  [[nodiscard]] Status check_numbers() const {
    if (nans_ || infinities_) return error(Code::InvalidArgument, not_finite(observed()));
    if (overflow_) {
      return error(Code::InvalidArgument,
                   "the values observed differ by more than float32 arithmetic can divide");
    }
    return {};
  }

  void see(const Range& range) {
    nans_ = nans_ || range.nans > 0;
    infinities_ = infinities_ || range.infinities > 0;
  }
  void see_overflow() { overflow_ = true; }
  void merge_flags(const ObserverBase& other) {
    nans_ = nans_ || other.nans_;
    infinities_ = infinities_ || other.infinities_;
    overflow_ = overflow_ || other.overflow_;
  }
  [[nodiscard]] Json save_flags() const {
    Json state = Json::object();
    if (nans_) state["nan"] = true;
    if (infinities_) state["infinity"] = true;
    if (overflow_) state["overflow"] = true;
    return state;
  }
  void load_flags(const Json& state) {
    nans_ = state.contains("nan");
    infinities_ = state.contains("infinity");
    overflow_ = state.contains("overflow");
  }

 private:
  QuantizationSpec spec_;
  bool nans_ = false;
  bool infinities_ = false;
  bool overflow_ = false;
};

// torchao's MinMaxObserver and PerChannelMinMaxObserver, and their moving averages.
class MinMax final : public ObserverBase {
 public:
  MinMax(QuantizationSpec spec, bool averages)
      : ObserverBase(std::move(spec)), averages_(averages) {}

  void observe(std::span<const float> values, const Shape& shape, Parallel& parallel) override {
    std::vector<Range> seen;
    if (spec().qscheme == QScheme::PerChannelSymmetric) {
      seen = ranges_per_channel(values, shape);
    } else {
      seen = {range_of(values, parallel)};
    }
    for (const Range& range : seen) see(range);
    // Nothing finite in some channel: torchao would give it an infinite scale.
    if (seen.empty() || std::any_of(seen.begin(), seen.end(),
                                    [](const Range& range) { return range.low > range.high; })) {
      return;
    }
    if (low_.size() != seen.size()) {
      low_.clear();
      high_.clear();
      for (const Range& range : seen) {
        low_.push_back(range.low);
        high_.push_back(range.high);
      }
    } else {
      for (std::size_t i = 0; i < seen.size(); ++i) {
        if (averages_) {
          low_[i] = low_[i] + kAveraging * (seen[i].low - low_[i]);
          high_[i] = high_[i] + kAveraging * (seen[i].high - high_[i]);
        } else {
          low_[i] = std::min(low_[i], seen[i].low);
          high_[i] = std::max(high_[i], seen[i].high);
        }
      }
    }
    ++tensors_;
  }

  [[nodiscard]] bool empty() const override { return low_.empty(); }
  [[nodiscard]] float low() const override { return *std::min_element(low_.begin(), low_.end()); }
  [[nodiscard]] float high() const override {
    return *std::max_element(high_.begin(), high_.end());
  }

  [[nodiscard]] Result<QuantParams> qparams() const override {
    ENN_TRY(check_numbers());
    std::vector<ScaleAndZeroPoint> items;
    for (std::size_t i = 0; i < low_.size(); ++i) {
      if (high_[i] - low_[i] > kMaxFloat) {
        return error(Code::InvalidArgument,
                     "the values observed differ by more than float32 can hold");
      }
      items.push_back(scale_and_zero_point(spec(), low_[i], high_[i]));
    }
    if (items.empty()) items.emplace_back();
    return params_of(spec(), items);
  }

  [[nodiscard]] Status merge(const RangeObserver& other) override {
    const auto* from = dynamic_cast<const MinMax*>(&other);
    if (from == nullptr || from->averages_ != averages_) return cannot_merge();
    if (!from->empty() && !empty() && from->low_.size() != low_.size()) {
      return error(Code::InvalidArgument, "one observer has ", low_.size(),
                   " channels and the other ", from->low_.size());
    }
    merge_flags(*from);
    if (from->empty()) return {};
    if (empty()) {
      low_ = from->low_;
      high_ = from->high_;
      tensors_ = from->tensors_;
      return {};
    }
    for (std::size_t i = 0; i < low_.size(); ++i) {
      low_[i] = averages_ ? mean(low_[i], from->low_[i], *from) : std::min(low_[i], from->low_[i]);
      high_[i] =
          averages_ ? mean(high_[i], from->high_[i], *from) : std::max(high_[i], from->high_[i]);
    }
    tensors_ += from->tensors_;
    return {};
  }

  [[nodiscard]] Json save() const override {
    Json state = save_flags();
    state["kind"] = kind();
    state["low"] = low_;
    state["high"] = high_;
    state["tensors"] = tensors_;
    return state;
  }

  [[nodiscard]] Status load(const Json& state) override {
    ENN_TRY(check_kind(state, kind()));
    ENN_ASSIGN(std::vector<float> low, floats_from(state, "low"));
    ENN_ASSIGN(std::vector<float> high, floats_from(state, "high"));
    ENN_ASSIGN(const std::uint64_t tensors, count_from(state, "tensors"));
    if (low.size() != high.size()) {
      return error(Code::InvalidArgument, "an observer has ", low.size(), " lower and ",
                   high.size(), " upper bounds");
    }
    for (std::size_t i = 0; i < low.size(); ++i) {
      if (low[i] > high[i]) {
        return error(Code::InvalidArgument, "an observer's range begins at ", low[i],
                     " and ends at ", high[i]);
      }
    }
    low_ = std::move(low);
    high_ = std::move(high);
    tensors_ = tensors;
    load_flags(state);
    return {};
  }

 private:
  [[nodiscard]] std::string_view kind() const {
    return averages_ ? std::string_view("moving_average") : std::string_view("minmax");
  }

  // Of two averages, by the number of tensors behind each.
  [[nodiscard]] float mean(float mine, float theirs, const MinMax& other) const {
    const auto weight = static_cast<double>(tensors_);
    const auto other_weight = static_cast<double>(other.tensors_);
    if (weight + other_weight == 0) return mine;
    return static_cast<float>(
        (static_cast<double>(mine) * weight + static_cast<double>(theirs) * other_weight) /
        (weight + other_weight));
  }

  [[nodiscard]] std::vector<Range> ranges_per_channel(std::span<const float> values,
                                                      const Shape& shape) const {
    const auto rank = static_cast<int>(shape.size());
    const int axis = spec().ch_axis;
    if (axis < 0 || axis >= rank || values.empty()) return {};
    std::int64_t outer = 1;
    std::int64_t inner = 1;
    for (int i = 0; i < axis; ++i) outer *= shape[static_cast<std::size_t>(i)];
    for (int i = axis + 1; i < rank; ++i) inner *= shape[static_cast<std::size_t>(i)];
    const std::int64_t channels = shape[static_cast<std::size_t>(axis)];
    std::vector<Range> ranges(static_cast<std::size_t>(channels));
    const auto& kernel = best_kernel(kMinMaxKernels, observer_features());
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t c = 0; c < channels; ++c) {
        kernel.run(values.data() + (o * channels + c) * inner, inner,
                   ranges[static_cast<std::size_t>(c)]);
      }
    }
    return ranges;
  }

  bool averages_;
  std::vector<float> low_;  // one per channel; none before the first tensor
  std::vector<float> high_;
  std::uint64_t tensors_ = 0;
};

// torchao's HistogramObserver, and other ways to choose a range from the same histogram.
class HistogramRange final : public ObserverBase {
 public:
  explicit HistogramRange(QuantizationSpec spec) : ObserverBase(std::move(spec)) {}

  void observe(std::span<const float> values, const Shape& /*shape*/, Parallel& parallel) override {
    if (add_values_inside(histogram_, values, parallel)) {
      ++tensors_;
      return;
    }
    const Range range = range_of(values, parallel);
    see(range);
    if (range.low > range.high) return;
    const float low = empty() ? range.low : std::min(range.low, histogram_.low);
    const float high = empty() ? range.high : std::max(range.high, histogram_.high);
    if (!has_bins(low, high)) {
      see_overflow();
      return;
    }
    add_values(histogram_, values, range.low, range.high, parallel);
    ++tensors_;
  }

  [[nodiscard]] bool empty() const override { return histogram_.empty; }
  [[nodiscard]] float low() const override { return histogram_.low; }
  [[nodiscard]] float high() const override { return histogram_.high; }

  [[nodiscard]] Result<QuantParams> qparams() const override {
    ENN_TRY(check_numbers());
    if (empty()) return params_of(spec(), {ScaleAndZeroPoint()});
    const ClippedRange range = search();
    return params_of(spec(), {scale_and_zero_point(spec(), range.low, range.high)});
  }

  [[nodiscard]] Status merge(const RangeObserver& other) override {
    const auto* from = dynamic_cast<const HistogramRange*>(&other);
    if (from == nullptr || from->spec() != spec()) return cannot_merge();
    merge_flags(*from);
    if (!empty() && !from->empty() &&
        !has_bins(std::min(low(), from->low()), std::max(high(), from->high()))) {
      see_overflow();
      return {};
    }
    add_histogram(histogram_, from->histogram_);
    tensors_ += from->tensors_;
    return {};
  }

  [[nodiscard]] Json save() const override {
    Json state = save_flags();
    state["kind"] = to_string(spec().observer);
    if (!empty()) {
      state["low"] = histogram_.low;
      state["high"] = histogram_.high;
      state["counts"] = histogram_.counts;
      state["tensors"] = tensors_;
    }
    return state;
  }

  [[nodiscard]] Status load(const Json& state) override {
    ENN_TRY(check_kind(state, to_string(spec().observer)));
    Histogram histogram;
    std::uint64_t tensors = 0;
    if (state.contains("counts")) {
      ENN_ASSIGN(tensors, count_from(state, "tensors"));
      if (tensors == 0) return error(Code::InvalidArgument, "a histogram is of no tensor");
      ENN_ASSIGN(histogram.counts, floats_from(state, "counts"));
      ENN_ASSIGN(histogram.low, float_from(state, "low"));
      ENN_ASSIGN(histogram.high, float_from(state, "high"));
      if (histogram.counts.size() != static_cast<std::size_t>(kHistogramBins) ||
          std::any_of(histogram.counts.begin(), histogram.counts.end(),
                      [](float count) { return count < 0 || count > kMostCounts; })) {
        return error(Code::InvalidArgument, "a histogram needs ", kHistogramBins,
                     " counts from 0 to 1e18");
      }
      if (histogram.low > histogram.high || !has_bins(histogram.low, histogram.high)) {
        return error(Code::InvalidArgument, "a histogram's range begins at ", histogram.low,
                     " and ends at ", histogram.high);
      }
      histogram.empty = false;
    }
    histogram_ = std::move(histogram);
    tensors_ = tensors;
    load_flags(state);
    return {};
  }

 private:
  [[nodiscard]] ClippedRange search() const {
    const GridOf grid_of = [this](ClippedRange range) {
      const auto [scale, zero_point] = scale_and_zero_point(spec(), range.low, range.high);
      return Grid{scale, zero_point, spec().quant_min, spec().quant_max};
    };
    switch (spec().observer) {
      case Observer::Percentile:
        return search_percentile(histogram_, kPercentile);
      case Observer::Mse:
        return search_mse(histogram_, tensors_, grid_of);
      case Observer::Kl:
        return search_kl(histogram_, grid_of);
      default:
        return search_squared_error(histogram_, 256);
    }
  }

  Histogram histogram_;
  std::uint64_t tensors_ = 0;
};

}  // namespace

ScaleAndZeroPoint scale_and_zero_point(const QuantizationSpec& spec, float low, float high) {
  const float least = std::min(low, 0.0F);
  const float most = std::max(high, 0.0F);
  const auto eps = static_cast<float>(spec.eps);
  const auto steps = static_cast<float>(spec.quant_max - spec.quant_min);
  if (spec.qscheme != QScheme::PerTensorAffine) {
    const float scale = std::max(std::max(-least, most) / (steps / 2), eps);
    const std::int32_t middle = (spec.quant_min + spec.quant_max) / 2;
    return {scale, spec.dtype == DType::UInt8 ? middle : 0};
  }
  const float scale = std::max((most - least) / steps, eps);
  const auto below = static_cast<std::int32_t>(std::nearbyint(least / scale));
  return {scale, std::clamp(spec.quant_min - below, spec.quant_min, spec.quant_max)};
}

std::string_view not_finite(Observed what) {
  return what == Observed::Nan ? "some of the values observed were NaN"
                               : "some of the values observed were infinite";
}

Observed observed_between(std::span<const float> lows, std::span<const float> highs) {
  bool nothing = lows.empty();
  bool infinite = false;
  for (std::size_t i = 0; i < lows.size(); ++i) {
    if (std::isnan(lows[i]) || std::isnan(highs[i])) return Observed::Nan;
    nothing = nothing || lows[i] > highs[i];
    infinite = infinite || std::isinf(lows[i]) || std::isinf(highs[i]);
  }
  if (nothing) return Observed::Nothing;
  return infinite ? Observed::Infinite : Observed::Finite;
}

Status check_observed(std::span<const std::pair<std::string, Observed>> values) {
  std::vector<std::string> missing;
  for (const auto& [name, observed] : values) {
    if (observed == Observed::Nothing) missing.push_back("'" + name + "'");
  }
  if (!missing.empty()) {
    return error(Code::InvalidArgument, "never calibrated: ", first_of(std::move(missing)),
                 ": run the prepared model on samples before it is converted, or give encodings");
  }
  for (const auto& [name, observed] : values) {
    if (observed == Observed::Finite) continue;
    return error(Code::InvalidArgument, "value '", name, "': ", not_finite(observed));
  }
  return {};
}

Result<std::unique_ptr<RangeObserver>> make_observer(const QuantizationSpec& spec) {
  switch (spec.observer) {
    case Observer::MinMax:
    case Observer::PerChannelMinMax:
      return std::unique_ptr<RangeObserver>(std::make_unique<MinMax>(spec, false));
    case Observer::MovingAverageMinMax:
    case Observer::MovingAveragePerChannelMinMax:
      return std::unique_ptr<RangeObserver>(std::make_unique<MinMax>(spec, true));
    case Observer::Histogram:
    case Observer::Percentile:
    case Observer::Mse:
    case Observer::Kl:
      return std::unique_ptr<RangeObserver>(std::make_unique<HistogramRange>(spec));
    case Observer::FusedMovingAvgFakeQuantize:
    case Observer::FusedMovingAvgPerChannelFakeQuantize:
      break;
  }
  return error(Code::Unsupported, "the observer ", to_string(spec.observer),
               " belongs to quantization-aware training, which needs PyTorch");
}

}  // namespace enn

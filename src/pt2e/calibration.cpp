#include "pt2e/calibration.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace enn {

namespace {

// Seeing a tensor once or often is the same.
bool is_idempotent(const GroupSpec& group) {
  const auto* spec = std::get_if<QuantizationSpec>(&group);
  return spec == nullptr || spec->observer == Observer::MinMax ||
         spec->observer == Observer::PerChannelMinMax;
}

}  // namespace

Result<Calibration> Calibration::create(std::vector<GroupSpec> groups,
                                        std::vector<BiasCorrection> corrections,
                                        std::vector<WeightRounding> roundings) {
  Calibration calibration;
  for (const GroupSpec& group : groups) {
    calibration.observers_.emplace_back();
    if (const auto* spec = std::get_if<QuantizationSpec>(&group)) {
      ENN_ASSIGN(calibration.observers_.back(), make_observer(*spec));
    }
  }
  calibration.groups_ = std::move(groups);
  calibration.corrections_ = std::move(corrections);
  calibration.roundings_ = std::move(roundings);
  return calibration;
}

Status Calibration::add_constant(std::size_t group, const Value& value) {
  if (observers_[group] == nullptr) return {};
  if (value.type.dtype != DType::Float32) {
    return error(Code::Unsupported, "'", value.name, "' is ", to_string(value.type.dtype),
                 "; only float32 is quantized");
  }
  const Constant constant{group, value.type.shape, value.data};
  if (is_idempotent(groups_[group])) {
    SerialParallel serial;
    see(constant, serial);
  }
  constants_.push_back(constant);
  return {};
}

void Calibration::see(const Constant& constant, Parallel& parallel) {
  std::vector<float> values(constant.data->size() / sizeof(float));
  std::memcpy(values.data(), constant.data->data(), values.size() * sizeof(float));
  observers_[constant.group]->observe(values, constant.shape, parallel);
}

void Calibration::see_constants(Parallel& parallel) {
  for (const Constant& constant : constants_) {
    if (!is_idempotent(groups_[constant.group])) see(constant, parallel);
  }
}

void Calibration::on_tap(std::uint32_t tap, std::span<const float> values,
                         Parallel& parallel) noexcept {
  const Tap& shown = taps_[tap];
  switch (shown.kind) {
    case Tap::Kind::Values:
      observers_[shown.index]->observe(values, shown.shape, parallel);
      break;
    case Tap::Kind::Means:
      corrections_[shown.index].add(values);
      break;
    case Tap::Kind::Columns:
      roundings_[shown.index].add(values, parallel);
      break;
  }
}

bool Calibration::constant(std::size_t group) const {
  return std::none_of(taps_.begin(), taps_.end(), [&](const Tap& tap) {
    return tap.kind == Tap::Kind::Values && tap.index == group;
  });
}

Result<QuantParams> Calibration::qparams(std::size_t group) const {
  if (const auto* fixed = std::get_if<FixedQParamsSpec>(&groups_[group])) {
    QuantParams params;
    params.scales = {static_cast<float>(fixed->scale)};
    params.zero_points = {fixed->zero_point};
    params.quant_min = fixed->quant_min;
    params.quant_max = fixed->quant_max;
    return params;
  }
  return observers_[group]->qparams();
}

}  // namespace enn

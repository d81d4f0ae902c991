// Observers: what is kept of the values that a tensor had, and the scale and zero point that
// follow. Those that torchao has give its results bit for bit.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "enn/parallel.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// What an observer saw. NaN and infinity win over everything else: no scale follows from them.
enum class Observed : std::uint8_t { Nothing, Finite, Nan, Infinite };

// Its size does not grow with what it sees, and neither the order of a tensor's elements nor the
// number of threads has an influence.
class RangeObserver {
 public:
  virtual ~RangeObserver() = default;

  // `shape` matters to observers per channel, which need the order of the shape.
  virtual void observe(std::span<const float> values, const Shape& shape, Parallel& parallel) = 0;
  // Nothing finite was observed.
  [[nodiscard]] virtual bool empty() const = 0;
  [[nodiscard]] virtual Observed observed() const = 0;
  // What was seen, of all channels. Precondition: !empty().
  [[nodiscard]] virtual float low() const = 0;
  [[nodiscard]] virtual float high() const = 0;

  // Without samples: scale 1, zero point 0. An error when values were NaN, infinite or too large.
  [[nodiscard]] virtual Result<QuantParams> qparams() const = 0;

  // Adds what another observer of the same spec saw.
  [[nodiscard]] virtual Status merge(const RangeObserver& other) = 0;
  // load(save()) is the same state. load() trusts nothing and changes nothing when it fails.
  [[nodiscard]] virtual nlohmann::json save() const = 0;
  [[nodiscard]] virtual Status load(const nlohmann::json& state) = 0;
};

// Why no scale follows from Nan or Infinite.
[[nodiscard]] std::string_view not_finite(Observed what);

// What torchao's observers saw whose lowest and highest values, of each channel, are these.
// Precondition: as many of each.
[[nodiscard]] Observed observed_between(std::span<const float> lows, std::span<const float> highs);

// An error unless each of these values was observed, and all of it was finite. It names all values
// that were not observed.
[[nodiscard]] Status check_observed(std::span<const std::pair<std::string, Observed>> values);

// Unsupported for the observers of quantization-aware training.
[[nodiscard]] Result<std::unique_ptr<RangeObserver>> make_observer(const QuantizationSpec& spec);

// torchao's scale and zero point for a range. Precondition: low <= high, both finite.
struct ScaleAndZeroPoint {
  float scale = 1;
  std::int32_t zero_point = 0;
};
[[nodiscard]] ScaleAndZeroPoint scale_and_zero_point(const QuantizationSpec& spec, float low,
                                                     float high);

}  // namespace enn

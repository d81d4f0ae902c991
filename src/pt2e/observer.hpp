// Observers: what is kept of the values that a tensor had, and the scale and zero point that
// follow. Those that torchao has give its results bit for bit.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "enn/parallel.hpp"
#include "enn/result.hpp"
#include "enn/tensor_type.hpp"
#include "quantizer/quantizer.hpp"

namespace enn {

// Its size does not grow with what it sees, and neither the order of a tensor's elements nor the
// number of threads has an influence. Infinite elements are passed over.
class RangeObserver {
 public:
  virtual ~RangeObserver() = default;

  // `shape` matters to observers per channel, which need the order of the shape.
  virtual void observe(std::span<const float> values, const Shape& shape, Parallel& parallel) = 0;
  // Nothing was observed.
  [[nodiscard]] virtual bool empty() const = 0;
  // What was seen, of all channels. Precondition: !empty().
  [[nodiscard]] virtual float low() const = 0;
  [[nodiscard]] virtual float high() const = 0;

  // Without samples: scale 1, zero point 0. An error when values were NaN or too large.
  [[nodiscard]] virtual Result<QuantParams> qparams() const = 0;

  // Adds what another observer of the same spec saw.
  [[nodiscard]] virtual Status merge(const RangeObserver& other) = 0;
  // load(save()) is the same state. load() trusts nothing and changes nothing when it fails.
  [[nodiscard]] virtual nlohmann::json save() const = 0;
  [[nodiscard]] virtual Status load(const nlohmann::json& state) = 0;
};

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

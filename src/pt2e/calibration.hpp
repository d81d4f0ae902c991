// The observers of a placement and what they see while the float model runs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "enn/program.hpp"
#include "pt2e/bias_correction.hpp"
#include "pt2e/observer.hpp"
#include "pt2e/placement.hpp"
#include "pt2e/weight_rounding.hpp"

namespace enn {

// Listens to the taps of a run, one observer for each. Which tap shows which value, and to whom, is
// decided once, by add_tap() and see_constants().
class Calibration final : public ExecutionListener {
 public:
  // One observer per spec; none for a fixed one.
  [[nodiscard]] static Result<Calibration> create(std::vector<GroupSpec> groups,
                                                  std::vector<BiasCorrection> corrections,
                                                  std::vector<WeightRounding> roundings);

  // A tap was added to the graph that shows a value of this shape.
  void add_tap(std::size_t group, Shape shape) {
    taps_.push_back({group, std::move(shape), Tap::Kind::Values});
  }
  // A tap was added that shows the means of the correction's input.
  void add_tap_of_means(std::size_t correction) {
    taps_.push_back({correction, {}, Tap::Kind::Means});
  }
  // A tap was added that shows the rounding's input, row-major.
  void add_tap_of_columns(std::size_t rounding) {
    taps_.push_back({rounding, {}, Tap::Kind::Columns});
  }
  // Constants are no taps: they are shown to their observers here, and in each run again where that
  // makes a difference.
  [[nodiscard]] Status add_constant(std::size_t group, const Value& value);
  void see_constants(Parallel& parallel);

  void on_tap(std::uint32_t tap, std::span<const float> values,
              Parallel& parallel) noexcept override;

  [[nodiscard]] std::size_t group_count() const { return groups_.size(); }
  [[nodiscard]] const GroupSpec& group(std::size_t i) const { return groups_[i]; }
  // Null for a fixed spec.
  [[nodiscard]] RangeObserver* observer(std::size_t i) { return observers_[i].get(); }
  [[nodiscard]] const RangeObserver* observer(std::size_t i) const { return observers_[i].get(); }
  [[nodiscard]] std::vector<BiasCorrection>& corrections() { return corrections_; }
  [[nodiscard]] const std::vector<BiasCorrection>& corrections() const { return corrections_; }
  [[nodiscard]] std::vector<WeightRounding>& roundings() { return roundings_; }
  [[nodiscard]] const std::vector<WeightRounding>& roundings() const { return roundings_; }
  // Whether the group observes nothing but constants.
  [[nodiscard]] bool constant(std::size_t group) const;

  // An error when the observer saw what no scale follows from.
  [[nodiscard]] Result<QuantParams> qparams(std::size_t group) const;

 private:
  struct Tap {
    enum class Kind : std::uint8_t { Values, Means, Columns };
    std::size_t index;  // of the group, the correction or the rounding
    Shape shape;
    Kind kind;
  };
  struct Constant {
    std::size_t group;
    Shape shape;
    ConstantData data;
  };
  void see(const Constant& constant, Parallel& parallel);

  std::vector<GroupSpec> groups_;
  std::vector<std::unique_ptr<RangeObserver>> observers_;
  std::vector<BiasCorrection> corrections_;
  std::vector<WeightRounding> roundings_;
  std::vector<Tap> taps_;
  std::vector<Constant> constants_;
};

}  // namespace enn

#include "pt2e/range_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "kernels/split.hpp"
#include "ops/constants.hpp"
#include "pt2e/float_sums.hpp"
#include "pt2e/observer.hpp"

namespace enn {
namespace {

// From one range to the next.
constexpr double kStep = 0.8;
constexpr int kMostSteps = 9;
// Of the noise of all ranges together: one that makes less is not searched.
constexpr double kLeastShare = 1.0 / 500;
// A sum with it has no bits for fractions; 1.5 * 2^23.
constexpr float kRoundsToEven = 12582912.0F;

// Quantizes and dequantizes the values of one range where they lie.
class Rounder final : public ExecutionListener {
 public:
  explicit Rounder(std::vector<std::size_t> range_of_tap)
      : range_of_tap_(std::move(range_of_tap)) {}

  // Nothing is rounded without `params`.
  void round(std::size_t range, const QuantParams* params) {
    range_ = range;
    params_ = params;
  }

  void on_change(std::uint32_t tap, std::span<float> values, Parallel& parallel) noexcept override {
    if (params_ == nullptr || range_of_tap_[tap] != range_) return;
    const float scale = params_->scale();
    const float inverse = inverse_scale(scale);
    const auto least = static_cast<float>(params_->quant_min - params_->zero_point());
    const auto most = static_cast<float>(params_->quant_max - params_->zero_point());
    const auto size = static_cast<std::int64_t>(values.size());
    const std::int64_t parts = part_count(size, sizeof(float), parallel.thread_count());
    auto task = [&](int part) {
      const std::int64_t end = part_begin(size, parts, part + 1);
      for (std::int64_t i = part_begin(size, parts, part); i < end; ++i) {
        float& value = values[static_cast<std::size_t>(i)];
        const float steps = std::min(std::max(least, value * inverse), most);
        value = ((steps + kRoundsToEven) - kRoundsToEven) * scale;
      }
    };
    parallel.run(static_cast<int>(parts), task);
  }

 private:
  std::vector<std::size_t> range_of_tap_;
  std::size_t range_ = 0;
  const QuantParams* params_ = nullptr;
};

class Search {
 public:
  Search(Model& model, Rounder& rounder, std::span<const SearchedRange> ranges,
         std::span<const std::vector<Tensor>> samples)
      : model_(model), rounder_(rounder), ranges_(ranges), samples_(samples) {}

  Result<std::vector<QuantParams>> run(
      const std::function<void(std::size_t, std::size_t)>& progress) {
    rounder_.round(0, nullptr);
    for (const std::vector<Tensor>& sample : samples_) {
      ENN_ASSIGN(std::vector<Tensor> outputs, outputs_of(sample));
      references_.push_back(std::move(outputs));
    }
    find_powers();
    std::vector<double> noises;
    double all = 0;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      ENN_ASSIGN(const double noise, noise_of(i, ranges_[i].params));
      noises.push_back(noise);
      all += noise;
    }
    std::vector<QuantParams> found;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      if (progress) progress(i, ranges_.size());
      found.push_back(ranges_[i].params);
      if (noises[i] > kLeastShare * all) {
        ENN_ASSIGN(found.back(), best_of(i, noises[i]));
      }
    }
    if (progress) progress(ranges_.size(), ranges_.size());
    return found;
  }

 private:
  [[nodiscard]] Result<std::vector<Tensor>> outputs_of(const std::vector<Tensor>& sample) {
    std::vector<TensorView> views;
    for (const Tensor& tensor : sample) views.push_back(tensor.view());
    model_.reset();
    return model_(views, &rounder_);
  }

  void find_powers() {
    SerialParallel serial;
    for (const std::vector<Tensor>& outputs : references_) {
      powers_.resize(outputs.size());
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        if (outputs[o].type.dtype == DType::Float32)
          powers_[o] += sums_of(floats_of(outputs[o]), serial).squares;
      }
    }
  }

  [[nodiscard]] static std::span<const float> floats_of(const Tensor& tensor) {
    return {reinterpret_cast<const float*>(tensor.bytes.data()),
            tensor.bytes.size() / sizeof(float)};
  }

  // In the outputs when nothing but this range is quantized.
  [[nodiscard]] Result<double> noise_of(std::size_t range, const QuantParams& params) {
    rounder_.round(range, &params);
    SerialParallel serial;
    double noise = 0;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      ENN_ASSIGN(const std::vector<Tensor> outputs, outputs_of(samples_[s]));
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        if (powers_[o] == 0) continue;
        const ErrorSums sums =
            errors_of(floats_of(references_[s][o]), floats_of(outputs[o]), nullptr, serial);
        noise += sums.errors / powers_[o];
      }
    }
    return noise;
  }

  // The range times kStep^step, about zero.
  [[nodiscard]] QuantParams scaled(std::size_t range, int step) const {
    const SearchedRange& original = ranges_[range];
    const double factor = std::pow(kStep, step) * static_cast<double>(original.params.scale());
    const std::int32_t zero = original.params.zero_point();
    const auto bound = [&](std::int32_t q) { return static_cast<float>(factor * (q - zero)); };
    const auto [scale, zero_point] = scale_and_zero_point(
        original.spec, bound(original.params.quant_min), bound(original.params.quant_max));
    QuantParams params = original.params;
    params.scales = {scale};
    params.zero_points = {zero_point};
    return params;
  }

  // Narrower first; one step that does not help may come before one that does.
  [[nodiscard]] Result<QuantParams> best_of(std::size_t range, double noise) {
    QuantParams best = ranges_[range].params;
    double least = noise;
    bool narrowed = false;
    int in_vain = 0;
    for (int step = 1; step <= kMostSteps && in_vain < 2; ++step) {
      QuantParams params = scaled(range, step);
      ENN_ASSIGN(const double tried, noise_of(range, params));
      if (tried < least) {
        least = tried;
        best = std::move(params);
        narrowed = true;
        in_vain = 0;
      } else {
        ++in_vain;
      }
    }
    if (narrowed) return best;
    for (int step = -1; step >= -2; --step) {
      QuantParams params = scaled(range, step);
      ENN_ASSIGN(const double tried, noise_of(range, params));
      if (tried >= least) break;
      least = tried;
      best = std::move(params);
    }
    return best;
  }

  Model& model_;
  Rounder& rounder_;
  std::span<const SearchedRange> ranges_;
  std::span<const std::vector<Tensor>> samples_;
  std::vector<std::vector<Tensor>> references_;  // by sample
  std::vector<double> powers_;                   // by output; 0: it is not compared
};

}  // namespace

Result<std::vector<QuantParams>> search_ranges(
    const Graph& graph, std::vector<NamedType> inputs, std::vector<NamedType> outputs,
    const std::vector<Mutation>& mutations, std::span<const SearchedRange> ranges,
    std::span<const std::vector<Tensor>> samples, const ModelOptions& options,
    const std::function<void(std::size_t, std::size_t)>& progress) {
  if (samples.empty()) {
    return error(Code::InvalidArgument, "ranges are searched on samples; there is none");
  }
  Graph tapped = graph;
  std::vector<std::size_t> range_of_tap;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    for (const ValueId value : ranges[i].values) {
      (void)tapped.add_tap(value);
      range_of_tap.push_back(i);
    }
  }
  ModelOptions float_options = options;
  float_options.execution = Execution::Qdq;
  ENN_ASSIGN(Model model, Model::compile_graph(tapped, std::move(inputs), std::move(outputs),
                                               float_options, mutations));
  Rounder rounder(std::move(range_of_tap));
  return Search(model, rounder, ranges, samples).run(progress);
}

}  // namespace enn

#include "kernels/conv/depthwise.hpp"

#include <algorithm>
#include <vector>

#include "kernels/split.hpp"

namespace enn {
namespace {

class DepthwiseConv final : public Conv {
 public:
  DepthwiseConv(const char* name, const DepthwiseKernel& kernel, const ConvProblem& problem,
                int max_threads)
      : name_(name), kernel_(kernel), geometry_(problem.geometry), slots_(max_threads) {
    const ConvGeometry& g = geometry_;
    // With undilated columns, neighbouring pixels share their table entries.
    shared_columns_ = g.dilation_w == 1;
    const std::int64_t taps = g.kernel_h * g.kernel_w;
    columns_ = shared_columns_ ? (g.out_w - 1) * g.stride_w + g.kernel_w : g.out_w * g.kernel_w;
    row_.tap_step = shared_columns_ ? g.stride_w * g.kernel_h : taps;
    row_.tap_count = taps;
    row_.pixels = g.out_w;
    row_.channels = g.in_c;
    row_.zero_point = problem.output_zero_point;
    row_.low = static_cast<float>(problem.output_min - problem.output_zero_point);
    row_.high = static_cast<float>(problem.output_max - problem.output_zero_point);
    row_.residual.zero_point = problem.residual_zero_point;
    row_.residual.multiplier = problem.residual_multiplier;
    row_.function = problem.function;
    table_bytes_ = round_up(columns_ * g.kernel_h * static_cast<std::int64_t>(sizeof(void*)), 64);
    padding_.assign(static_cast<std::size_t>(std::max(g.in_c, kernel.width)),
                    static_cast<std::uint8_t>(problem.input_zero_point));
    pack(problem);
  }

  const char* name() const noexcept override { return name_; }
  std::size_t scratch_bytes() const noexcept override {
    return static_cast<std::size_t>(table_bytes_ * slots_);
  }

  void run(const std::uint8_t* input, const std::uint8_t* residual, std::uint8_t* output,
           std::byte* scratch, Parallel& parallel) const noexcept override {
    const ConvGeometry& g = geometry_;
    const std::int64_t rows = g.batch * g.out_h;
    const std::int64_t work = g.pixels() * g.in_c * row_.tap_count;
    const std::int64_t slots = std::min<std::int64_t>(std::min(parallel.thread_count(), slots_),
                                                      std::min(rows, ceil_div(work, kGrain * 4)));
    auto task = [&](int slot) {
      auto** taps = reinterpret_cast<const std::uint8_t**>(scratch + slot * table_bytes_);
      const std::int64_t end = part_begin(rows, slots, slot + 1);
      for (std::int64_t i = part_begin(rows, slots, slot); i < end; ++i) {
        fill_taps(input, i, taps);
        DepthwiseRow row = row_;
        row.taps = taps;
        row.weights = weights_->values.data();
        row.init = lanes_->init.data();
        row.multiplier = lanes_->multiplier.data();
        row.bias = lanes_->bias.data();
        if (!lanes_->slopes.empty()) row.slopes = lanes_->slopes.data();
        row.out = output + i * g.out_w * g.out_c;
        if (residual != nullptr) row.residual.elements = residual + i * g.out_w * g.out_c;
        kernel_.row(row);
      }
    };
    if (slots == 1) {
      task(0);
    } else {
      parallel.run(static_cast<int>(slots), task);
    }
  }

 private:
  // Entries are ordered by column, then by kernel row.
  void fill_taps(const std::uint8_t* input, std::int64_t row, const std::uint8_t** taps) const {
    const ConvGeometry& g = geometry_;
    const std::int64_t h0 = row % g.out_h * g.stride_h - g.pad_top;
    const std::uint8_t* image = input + row / g.out_h * g.in_h * g.in_w * g.in_c;
    for (std::int64_t r = 0; r < g.kernel_h; ++r) {
      const std::int64_t h = h0 + r * g.dilation_h;
      const bool inside = h >= 0 && h < g.in_h;
      const std::uint8_t* line = image + (inside ? h * g.in_w * g.in_c : 0);
      for (std::int64_t column = 0; column < columns_; ++column) {
        const std::int64_t w = shared_columns_ ? column - g.pad_left
                                               : column / g.kernel_w * g.stride_w - g.pad_left +
                                                     column % g.kernel_w * g.dilation_w;
        taps[column * g.kernel_h + r] =
            inside && w >= 0 && w < g.in_w ? line + w * g.in_c : padding_.data();
      }
    }
  }

  // DepthwiseRow::weights, and the sum of each lane's.
  struct Weights {
    std::vector<std::int16_t> values;
    std::vector<std::int32_t> sums;
  };

  // use(lane, channel) for the lanes of all groups that stand for a channel.
  template <typename Use>
  void for_each_lane(const Use& use) const {
    const std::int64_t channels = geometry_.in_c;
    const std::int64_t width = kernel_.width;
    for (std::int64_t group = 0; group * width < channels; ++group) {
      const std::int64_t first =
          std::max<std::int64_t>(std::min(group * width, channels - width), 0);
      for (std::int64_t lane = 0; lane < width; ++lane) {
        const std::int64_t c = first + kernel_.order[lane];
        if (c < channels) use(group * width + lane, c);
      }
    }
  }

  [[nodiscard]] std::size_t lane_count() const {
    return static_cast<std::size_t>(ceil_div(geometry_.in_c, kernel_.width) * kernel_.width);
  }

  void pack(const ConvProblem& problem) {
    weights_ = problem.weight_source.packed<Weights>(name_, [&] { return pack_weights(problem); });
    lanes_ = problem.channel_source.packed<Lanes>(name_, [&] { return pack_lanes(problem); });
  }

  // One value for each lane; `slopes` is empty where there are none.
  struct Lanes {
    std::vector<std::int32_t> init;
    std::vector<float> multiplier;
    std::vector<float> bias;
    std::vector<float> slopes;
  };

  [[nodiscard]] Lanes pack_lanes(const ConvProblem& problem) const {
    Lanes out;
    out.init.assign(lane_count(), 0);
    out.multiplier.assign(lane_count(), 0.0F);
    out.bias.assign(lane_count(), 0.0F);
    if (problem.slopes != nullptr) out.slopes.assign(lane_count(), 0.0F);
    for_each_lane([&](std::int64_t lane, std::int64_t c) {
      out.multiplier.data()[lane] = problem.multiplier[c];
      out.bias.data()[lane] = problem.bias[c];
      if (problem.slopes != nullptr) out.slopes.data()[lane] = problem.slopes[c];
      out.init.data()[lane] = -problem.input_zero_point * weights_->sums.data()[lane];
    });
    return out;
  }

  [[nodiscard]] Weights pack_weights(const ConvProblem& problem) const {
    const ConvGeometry& g = geometry_;
    const std::int64_t width = kernel_.width;
    const std::int64_t taps = row_.tap_count;
    const std::int64_t pairs = ceil_div(taps, 2);
    Weights out;
    out.values.assign(lane_count() * static_cast<std::size_t>(pairs * 2), 0);
    out.sums.assign(lane_count(), 0);
    for_each_lane([&](std::int64_t lane, std::int64_t c) {
      std::int16_t* values =
          out.values.data() + lane / width * pairs * width * 2 + lane % width * 2;
      for (std::int64_t t = 0; t < taps; ++t) {
        const std::int64_t s = t / g.kernel_h;
        const std::int64_t r = t % g.kernel_h;
        const std::int32_t w =
            problem.weight[c * taps + r * g.kernel_w + s] - problem.weight_zero_point;
        out.sums.data()[lane] += w;
        values[t / 2 * width * 2 + t % 2] = static_cast<std::int16_t>(w);
      }
    });
    return out;
  }

  const char* name_;
  DepthwiseKernel kernel_;
  ConvGeometry geometry_;
  int slots_;
  bool shared_columns_ = true;
  std::int64_t columns_ = 0;      // of the tap table
  std::int64_t table_bytes_ = 0;  // per thread
  DepthwiseRow row_;              // what all rows have in common
  std::vector<std::uint8_t> padding_;
  std::shared_ptr<const Weights> weights_;
  std::shared_ptr<const Lanes> lanes_;
};

}  // namespace

std::unique_ptr<Conv> make_depthwise_conv(const char* name, const DepthwiseKernel& kernel,
                                          const ConvProblem& problem, int max_threads) {
  const ConvGeometry& g = problem.geometry;
  if (g.groups != g.in_c || g.groups != g.out_c || g.groups == 1) return nullptr;
  return std::make_unique<DepthwiseConv>(name, kernel, problem, max_threads);
}

}  // namespace enn

#include "pt2e/weight_rounding.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "kernels/split.hpp"
#include "ops/common.hpp"
#include "ops/constants.hpp"
#include "pt2e/bias_correction.hpp"
#include "quantizer/json.hpp"

namespace enn {

namespace {

// Columns of each sample at most: places of the result, spread over all of them.
constexpr std::size_t kColumns = 128;
constexpr std::size_t kBlockInputs = 1024;  // inputs
// Of the mean of the diagonal, added to it: inputs that are nearly dependent stay apart.
constexpr double kDamping = 0.01;
constexpr int kSweeps = 20;

std::size_t product(std::span<const std::int64_t> sizes) {
  return std::accumulate(
      sizes.begin(), sizes.end(), std::size_t{1},
      [](std::size_t count, std::int64_t size) { return count * static_cast<std::size_t>(size); });
}

std::size_t triangle(std::size_t size) { return size * (size + 1) / 2; }

// Number `i` of a sequence that fills [0, total) evenly, however many of it are taken.
std::size_t spread(std::size_t i, std::size_t total) {
  constexpr std::uint64_t kGolden = 2654435769;  // 2^32 / 1.618
  const std::uint64_t fraction = (static_cast<std::uint64_t>(i) * kGolden) & 0xFFFFFFFF;
  return static_cast<std::size_t>((fraction * total) >> 32);
}

}  // namespace

std::vector<float> nearest_weight(std::span<const float> weight, const Shape& shape,
                                  const QuantParams& params) {
  std::vector<float> inverse(params.scales.size());
  std::transform(params.scales.begin(), params.scales.end(), inverse.begin(), inverse_scale);
  std::vector<float> nearest(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const std::size_t channel = quantized_channel(i, shape, params);
    const std::int32_t zero_point = params.zero_points[channel];
    const std::int32_t rounded =
        quantize_value(weight[i], inverse[channel], zero_point, params.quant_min, params.quant_max);
    nearest[i] = static_cast<float>(rounded - zero_point) * params.scales[channel];
  }
  return nearest;
}

// The integers of one row of the weight over one block of inputs, in units of the row's scale.
struct WeightRounding::Row {
  std::vector<double> target;    // weight / scale
  std::vector<double> integers;  // rounded to nearest at first
  double low = 0;
  double high = 0;

  // Of the two integers around target[i] the one that is nearer to `value`. One further away could
  // take up errors of other weights for the samples seen, and be far off where an input that they
  // hardly show is large.
  [[nodiscard]] double rounded(std::size_t i, double value) const {
    const double below = std::clamp(std::floor(target[i]), low, high);
    const double above = std::clamp(std::ceil(target[i]), low, high);
    return std::clamp(std::nearbyint(value), below, above);
  }
};

// Rounds rows by the moments of one block.
class WeightRounding::Solver {
 public:
  // `moments` is the symmetric matrix, by rows.
  Solver(std::size_t size, std::vector<double> moments)
      : size_(size), moments_(std::move(moments)), order_(size) {
    double mean = 0;
    for (std::size_t i = 0; i < size_; ++i) mean += moment(i, i) / static_cast<double>(size_);
    if (!(mean > 0)) return;
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::sort(order_, {}, [&](std::size_t i) { return std::pair(moment(i, i), i); });
    solvable_ = factorize(kDamping * mean);
  }

  void solve(Row& row) const {
    if (!solvable_) return;
    const std::vector<double> nearest = row.integers;
    const double before = error_of(row);
    round_in_turn(row);
    descend(row);
    if (!(error_of(row) < before)) row.integers = nearest;
  }

 private:
  [[nodiscard]] double moment(std::size_t i, std::size_t j) const {
    return moments_[i * size_ + j];
  }

  // Cholesky's lower triangle L of the moments in order_, with `damping` on the diagonal. False
  // where they are not positive definite.
  bool factorize(double damping) {
    lower_.resize(size_ * size_);
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t j = 0; j <= i; ++j) lower_[i * size_ + j] = moment(order_[i], order_[j]);
      lower_[i * size_ + i] += damping;
    }
    std::vector<double> column(size_);
    for (std::size_t k = 0; k < size_; ++k) {
      const double square = lower_[k * size_ + k];
      if (!(square > 0)) return false;
      const double root = std::sqrt(square);
      lower_[k * size_ + k] = root;
      for (std::size_t i = k + 1; i < size_; ++i) {
        column[i] = lower_[i * size_ + k] / root;
        lower_[i * size_ + k] = column[i];
        double* const out = &lower_[i * size_];
        for (std::size_t j = k + 1; j <= i; ++j) out[j] -= column[i] * column[j];
      }
    }
    return true;
  }

  // The last in order_, with the largest moments, first.
  void round_in_turn(Row& row) const {
    std::vector<double> taken(size_);  // errors that those rounded left, times L
    for (std::size_t i = size_; i-- > 0;) {
      const std::size_t at = order_[i];
      const double* const lower = &lower_[i * size_];
      row.integers[at] = row.rounded(at, row.target[at] + taken[i] / lower[i]);
      const double left = row.target[at] - row.integers[at];
      for (std::size_t j = 0; j < i; ++j) taken[j] += left * lower[j];
    }
  }

  // (integers - target) H.
  [[nodiscard]] std::vector<double> slopes(const Row& row) const {
    std::vector<double> slopes(size_);
    for (std::size_t i = 0; i < size_; ++i) {
      const double difference = row.integers[i] - row.target[i];
      for (std::size_t j = 0; j < size_; ++j) slopes[j] += difference * moment(i, j);
    }
    return slopes;
  }

  [[nodiscard]] double error_of(const Row& row) const {
    const std::vector<double> slope = slopes(row);
    double error = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      error += slope[i] * (row.integers[i] - row.target[i]);
    }
    return error;
  }

  // Moves each integer to where the error is least while the others stay, until none moves.
  void descend(Row& row) const {
    std::vector<double> slope = slopes(row);
    bool moved = true;
    for (int sweep = 0; moved && sweep < kSweeps; ++sweep) {
      moved = false;
      for (std::size_t i = 0; i < size_; ++i) {
        const double own = moment(i, i);
        if (!(own > 0)) continue;
        const double step = row.rounded(i, row.integers[i] - slope[i] / own) - row.integers[i];
        // A step that changes the error by nothing would be taken back by the next sweep.
        if (step == 0 || step * (2 * slope[i] + step * own) >= 0) continue;
        row.integers[i] += step;
        moved = true;
        for (std::size_t j = 0; j < size_; ++j) slope[j] += step * moment(i, j);
      }
    }
  }

  std::size_t size_;
  std::vector<double> moments_;
  std::vector<std::size_t> order_;
  std::vector<double> lower_;
  bool solvable_ = false;
};

WeightRounding::WeightRounding(const Graph& graph, NodeId node, bool centered)
    : node_(node), centered_(centered) {
  const Node& layer = graph.node(node);
  in_ = graph.value(layer.inputs[0]).type.shape;
  out_ = graph.value(layer.outputs[0]).type.shape;
  weight_ = graph.value(layer.inputs[1]).type.shape;
  groups_ = static_cast<std::size_t>(layer.attrs.integer("groups", 1));
  inputs_ = product(std::span(weight_).subspan(1));
  if (weight_.size() > 2) {
    stride_ = layer.attrs.integers("stride");
    dilation_ = layer.attrs.integers("dilation");
    pads_ = layer.attrs.integers("pads");
  }
  const std::size_t parts = (inputs_ + kBlockInputs - 1) / kBlockInputs;
  std::size_t moments = 0;
  for (std::size_t group = 0; group < groups_; ++group) {
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t first = inputs_ * part / parts;
      const std::size_t size = inputs_ * (part + 1) / parts - first;
      blocks_.push_back({group, first, size, moments});
      moments += triangle(size);
    }
  }
  sums_.resize(groups_ * inputs_);
  moments_.resize(moments);
}

std::size_t WeightRounding::size() const { return product(in_); }

// The inputs of all groups for each column; 0 where padding is met.
void WeightRounding::gather(std::span<const float> values, std::vector<double>& columns) const {
  const std::size_t spatial = weight_.size() - 2;
  const std::size_t batch_rank = in_.size() - spatial - 1;
  const std::span<const std::int64_t> sizes = std::span(in_).last(spatial);
  const std::span<const std::int64_t> results = std::span(out_).last(spatial);
  const std::span<const std::int64_t> window = std::span(weight_).last(spatial);
  const std::size_t channels = static_cast<std::size_t>(in_[batch_rank]);
  const std::size_t inner = product(sizes);
  const std::size_t places = product(results);
  const std::size_t taps = product(window);
  const std::size_t total = product(std::span(in_).first(batch_rank)) * places;
  const std::size_t count = std::min(total, kColumns);
  columns.assign(count * channels * taps, 0.0);
  std::vector<std::int64_t> corner(spatial);
  for (std::size_t column = 0; column < count; ++column) {
    const std::size_t chosen = total == count ? column : spread(column, total);
    std::size_t rest = chosen % places;
    for (std::size_t axis = spatial; axis-- > 0;) {
      const auto size = static_cast<std::size_t>(results[axis]);
      corner[axis] = static_cast<std::int64_t>(rest % size) * stride_[axis] - pads_[axis];
      rest /= size;
    }
    double* const out = &columns[column * channels * taps];
    const float* const in = &values[chosen / places * channels * inner];
    for (std::size_t tap = 0; tap < taps; ++tap) {
      std::size_t left = tap;
      std::size_t offset = 0;
      std::size_t step = 1;
      bool inside = true;
      for (std::size_t axis = spatial; axis-- > 0;) {
        const auto size = static_cast<std::size_t>(window[axis]);
        const std::int64_t at =
            corner[axis] + static_cast<std::int64_t>(left % size) * dilation_[axis];
        left /= size;
        inside = inside && at >= 0 && at < sizes[axis];
        if (!inside) break;
        offset += static_cast<std::size_t>(at) * step;
        step *= static_cast<std::size_t>(sizes[axis]);
      }
      if (!inside) continue;
      for (std::size_t channel = 0; channel < channels; ++channel) {
        out[channel * taps + tap] = static_cast<double>(in[channel * inner + offset]);
      }
    }
  }
}

void WeightRounding::add(std::span<const float> values, Parallel& parallel) {
  if (values.size() != size() || values.empty() || moments_.empty()) return;
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) return;
  std::vector<double> columns;
  gather(values, columns);
  const std::size_t width = groups_ * inputs_;
  const std::size_t count = columns.size() / width;
  struct MomentsRow {
    std::size_t first;  // of the inputs of all groups
    std::size_t size;
    double* moments;
  };
  std::vector<MomentsRow> rows;
  for (const Block& block : blocks_) {
    for (std::size_t i = 0; i < block.size; ++i) {
      rows.push_back(
          {block.group * inputs_ + block.first, i + 1, &moments_[block.moments + triangle(i)]});
    }
  }
  const auto cost = static_cast<std::int64_t>(count * moments_.size() / rows.size());
  split(parallel, static_cast<std::int64_t>(rows.size()), cost,
        [&](std::int64_t begin, std::int64_t end) {
          for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end);
               ++row) {
            const auto& [first, size, moments] = rows[row];
            for (std::size_t column = 0; column < count; ++column) {
              const double* const inputs = &columns[column * width + first];
              const double own = inputs[size - 1];
              if (own == 0) continue;
              for (std::size_t j = 0; j < size; ++j) moments[j] += own * inputs[j];
            }
          }
        });
  for (std::size_t i = 0; i < columns.size(); ++i) sums_[i % width] += columns[i];
  count_ += count;
}

void WeightRounding::merge(const WeightRounding& other) {
  std::transform(sums_.begin(), sums_.end(), other.sums_.begin(), sums_.begin(), std::plus<>());
  std::transform(moments_.begin(), moments_.end(), other.moments_.begin(), moments_.begin(),
                 std::plus<>());
  count_ += other.count_;
}

std::vector<float> WeightRounding::rounded(std::span<const float> weight,
                                           const QuantParams& params) const {
  std::vector<float> result = nearest_weight(weight, weight_, params);
  const bool one_scale_per_row = params.per_tensor() || params.axis == 0;
  if (count_ == 0 || !one_scale_per_row) return result;
  const auto count = static_cast<double>(count_);
  const std::size_t rows = static_cast<std::size_t>(weight_[0]) / groups_;
  for (const Block& block : blocks_) {
    std::vector<double> moments(block.size * block.size);
    for (std::size_t i = 0; i < block.size; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double moment = moments_[block.moments + triangle(i) + j] / count;
        if (centered_) {
          const std::size_t first = block.group * inputs_ + block.first;
          moment -= sums_[first + i] / count * (sums_[first + j] / count);
        }
        moments[i * block.size + j] = moments[j * block.size + i] = moment;
      }
    }
    const Solver solver(block.size, std::move(moments));
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t begin = (block.group * rows + i) * inputs_ + block.first;
      const std::size_t channel = quantized_channel(begin, weight_, params);
      const float scale = params.scales[channel];
      const auto step = static_cast<double>(scale);
      Row row;
      row.low = params.quant_min - params.zero_points[channel];
      row.high = params.quant_max - params.zero_points[channel];
      for (std::size_t j = begin; j < begin + block.size; ++j) {
        row.target.push_back(static_cast<double>(weight[j]) / step);
        row.integers.push_back(std::nearbyint(static_cast<double>(result[j]) / step));
      }
      solver.solve(row);
      for (std::size_t j = 0; j < block.size; ++j) {
        result[begin + j] = static_cast<float>(row.integers[j]) * scale;
      }
    }
  }
  return result;
}

nlohmann::json WeightRounding::save() const {
  return {{"sums", sums_}, {"moments", moments_}, {"columns", count_}};
}

Status WeightRounding::load(const nlohmann::json& state) {
  const auto numbers = [&](const char* name, std::size_t size) -> Result<std::vector<double>> {
    const auto found = state.find(name);
    if (found == state.end() || !found->is_array() || found->size() != size ||
        !std::all_of(found->begin(), found->end(), [](const auto& x) { return x.is_number(); })) {
      return error(Code::InvalidArgument, "'", name, "' is not a list of ", size, " numbers");
    }
    return found->template get<std::vector<double>>();
  };
  ENN_ASSIGN(std::vector<double> sums, numbers("sums", sums_.size()));
  ENN_ASSIGN(std::vector<double> moments, numbers("moments", moments_.size()));
  ENN_ASSIGN(count_, count_from(state, "columns"));
  sums_ = std::move(sums);
  moments_ = std::move(moments);
  return {};
}

std::vector<WeightRounding> weight_roundings(const Graph& graph, const EnnQuantizer& quantizer,
                                             const Annotations& annotations) {
  std::vector<WeightRounding> roundings;
  if (!quantizer.learns_rounding()) return roundings;
  const std::vector<BiasCorrection> corrections = bias_corrections(graph, quantizer, annotations);
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    if (!has_quantized_weight(graph, annotations, id) || node.attrs.boolean("transposed")) continue;
    if (graph.users(node.inputs[1]).size() != 1) continue;
    const bool centered = std::ranges::any_of(
        corrections, [&](const BiasCorrection& correction) { return correction.node() == id; });
    roundings.emplace_back(graph, id, centered);
  }
  return roundings;
}

ValueId add_flat_input(Graph& graph, NodeId layer) {
  const ValueId input = graph.node(layer).inputs[0];
  const TensorType& type = graph.value(input).type;
  const Shape shape = {static_cast<std::int64_t>(product(type.shape))};
  const DType dtype = type.dtype;
  Attributes attrs;
  attrs.set("shape", shape);
  const NodeId flat = graph.insert_node(layer, Op::Reshape, graph.node(layer).name + "_columns",
                                        {input}, {TensorType{dtype, shape}}, std::move(attrs));
  return graph.node(flat).outputs.front();
}

}  // namespace enn

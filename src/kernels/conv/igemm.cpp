#include "kernels/conv/igemm.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "kernels/split.hpp"

namespace enn {
namespace {

// A K block of the weights of one panel stays in the first-level cache, the packed rows of one
// block in the second-level cache.
constexpr std::int64_t kPanelBytes = 16 * 1024;
constexpr std::int64_t kRowsBytes = 192 * 1024;
constexpr std::int64_t kMaxRows = 240;
// Products below which a second thread does not pay.
constexpr std::int64_t kParallelProducts = 1 << 19;

class IgemmConv final : public Conv {
 public:
  IgemmConv(const char* name, const IgemmKernel& kernel, const ConvProblem& problem,
            int max_threads)
      : name_(name),
        kernel_(kernel),
        geometry_(problem.geometry),
        input_zero_point_(problem.input_zero_point),
        weight_zero_point_(problem.weight_zero_point),
        output_zero_point_(problem.output_zero_point),
        low_(static_cast<float>(problem.output_min - problem.output_zero_point)),
        high_(static_cast<float>(problem.output_max - problem.output_zero_point)),
        residual_{.zero_point = problem.residual_zero_point,
                  .multiplier = problem.residual_multiplier},
        function_(problem.function),
        slots_(max_threads) {
    const std::int64_t element = element_bytes(kernel);
    depth_units_ = ceil_div(geometry_.depth(), kernel.kr);
    panels_ = ceil_div(geometry_.group_out(), kernel.nr);
    unit_bytes_ = kernel.nr * kernel.kr * element;
    block_units_ = igemm_block_units(kernel, depth_units_);
    row_stride_ = igemm_row_stride(kernel, depth_units_);
    max_rows_ = igemm_max_rows(kernel, row_stride_);
    plan_jobs(max_threads);
    pack(problem);
    slot_bytes_ = round_up(max_rows_ * row_stride_ + 64, 64) + round_up(max_rows_ * 4, 64) +
                  igemm_partial_bytes(kernel, max_rows_, depth_units_, function_);
  }

  const char* name() const noexcept override { return name_; }
  std::size_t scratch_bytes() const noexcept override {
    return static_cast<std::size_t>(slot_bytes_ * slots_);
  }

  void run(const std::uint8_t* input, const std::uint8_t* residual, std::uint8_t* output,
           std::byte* scratch, Parallel& parallel) const noexcept override {
    const int slots = std::min(parallel.thread_count(), slots_);
    const std::int64_t row_blocks = slots > 1 ? parallel_row_blocks_ : serial_row_blocks_;
    const std::int64_t panel_blocks = slots > 1 ? parallel_panel_blocks_ : 1;
    const std::int64_t jobs = geometry_.groups * row_blocks * panel_blocks;
    std::atomic<std::int64_t> next = 0;
    // Each slot owns a part of the scratch memory and takes the next job until none is left.
    auto work = [&](int slot) {
      std::byte* memory = scratch + slot * slot_bytes_;
      for (;;) {
        const std::int64_t job = next.fetch_add(1, std::memory_order_relaxed);
        if (job >= jobs) return;
        const std::int64_t panel_block = job % panel_blocks;
        const std::int64_t row_block = job / panel_blocks % row_blocks;
        const std::int64_t row = part_begin(geometry_.pixels(), row_blocks, row_block);
        const std::int64_t row_end = part_begin(geometry_.pixels(), row_blocks, row_block + 1);
        run_block(input, residual, output, memory, job / panel_blocks / row_blocks, row,
                  row_end - row, part_begin(panels_, panel_blocks, panel_block),
                  part_begin(panels_, panel_blocks, panel_block + 1));
      }
    };
    const bool small = geometry_.pixels() * geometry_.out_c * geometry_.depth() < kParallelProducts;
    if (slots == 1 || jobs == 1 || small) {
      work(0);
    } else {
      parallel.run(static_cast<int>(std::min<std::int64_t>(slots, jobs)), work);
    }
  }

 private:
  void plan_jobs(std::int64_t threads) {
    const std::int64_t pixels = geometry_.pixels();
    serial_row_blocks_ = ceil_div(pixels, max_rows_);
    // Blocks of rows first, as each packs its rows once; panels are divided where rows are too few.
    const std::int64_t wanted = 4 * threads;
    parallel_row_blocks_ = std::max(
        serial_row_blocks_, std::min(wanted, std::max<std::int64_t>(pixels / (4 * kernel_.mr), 1)));
    parallel_panel_blocks_ = 1;
    const std::int64_t jobs = parallel_row_blocks_ * geometry_.groups;
    if (jobs < threads) {
      parallel_panel_blocks_ = std::clamp<std::int64_t>(panels_, 1, ceil_div(2 * threads, jobs));
    }
  }

  // Of the k-th output channel: its panel among those of all groups, and its place in there.
  struct Column {
    std::int64_t panel;
    std::int64_t place;
  };
  [[nodiscard]] Column column_of(std::int64_t k) const {
    const std::int64_t column = k % geometry_.group_out();
    return {k / geometry_.group_out() * panels_ + column / kernel_.nr, column % kernel_.nr};
  }

  void pack(const ConvProblem& problem) {
    weights_ =
        problem.weight_source.packed<Weights>(name_, [&] { return pack_weights(problem.weight); });
    columns_ = problem.channel_source.packed<Columns>(name_, [&] { return pack_columns(problem); });
  }

  // [groups][panels][nr] each; `slopes` is empty where there are none.
  struct Columns {
    std::vector<std::int32_t> init;
    std::vector<float> multiplier;
    std::vector<float> bias;
    std::vector<float> slopes;
  };

  [[nodiscard]] Columns pack_columns(const ConvProblem& problem) const {
    const auto padded = static_cast<std::size_t>(geometry_.groups * panels_ * kernel_.nr);
    Columns out;
    out.init.assign(padded, 0);
    out.multiplier.assign(padded, 0.0F);
    out.bias.assign(padded, 0.0F);
    if (problem.slopes != nullptr) out.slopes.assign(padded, 0.0F);
    for (std::int64_t k = 0; k < geometry_.out_c; ++k) {
      const auto [panel, place] = column_of(k);
      const std::int64_t slot = panel * kernel_.nr + place;
      out.multiplier.data()[slot] = problem.multiplier[k];
      out.bias.data()[slot] = problem.bias[k];
      if (problem.slopes != nullptr) out.slopes.data()[slot] = problem.slopes[k];
      if (kernel_.operands == IgemmOperands::U8S8) {
        const std::int64_t correction =
            input_zero_point_ * (geometry_.depth() * weight_zero_point_ - weights_->sums.data()[k]);
        out.init.data()[slot] = static_cast<std::int32_t>(correction);
      }
    }
    return out;
  }

  // [groups][panels][depth_units][nr][kr] from a multiple of 64 bytes on, and the sum of each
  // output channel's weights.
  struct Weights {
    std::vector<std::byte> bytes;
    std::vector<std::int64_t> sums;

    [[nodiscard]] const std::byte* begin() const {
      return reinterpret_cast<const std::byte*>(
          round_up(reinterpret_cast<std::intptr_t>(bytes.data()), 64));
    }
  };

  [[nodiscard]] Weights pack_weights(const std::int8_t* weight) const {
    Weights out;
    out.bytes.assign(
        static_cast<std::size_t>(geometry_.groups * panels_ * depth_units_ * unit_bytes_ + 64),
        std::byte{0});
    const std::ptrdiff_t front = out.begin() - out.bytes.data();
    const std::int64_t nr = kernel_.nr;
    const std::int64_t depth = geometry_.depth();
    for (std::int64_t k = 0; k < geometry_.out_c; ++k) {
      const auto [panel, place] = column_of(k);
      std::byte* base = out.bytes.data() + front + panel * depth_units_ * unit_bytes_;
      const std::int8_t* source = weight + k * depth;
      std::int64_t sum = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        const std::int64_t element = (d / kernel_.kr * nr + place) * kernel_.kr + d % kernel_.kr;
        sum += source[d];
        if (kernel_.operands == IgemmOperands::S16) {
          const auto value = static_cast<std::int16_t>(source[d] - weight_zero_point_);
          std::memcpy(base + element * 2, &value, sizeof(value));
        } else {
          base[element] = static_cast<std::byte>(source[d]);
        }
      }
      out.sums.push_back(sum);
    }
    return out;
  }

  void run_block(const std::uint8_t* input, const std::uint8_t* residual, std::uint8_t* output,
                 std::byte* memory, std::int64_t group, std::int64_t row, std::int64_t rows,
                 std::int64_t panel, std::int64_t panel_end) const {
    IgemmGather from;
    from.geometry = geometry_;
    from.input = input;
    from.input_end = input + geometry_.batch * geometry_.in_h * geometry_.in_w * geometry_.in_c;
    from.channel = group * geometry_.group_in();
    from.input_zero_point = input_zero_point_;
    std::byte* packed = memory;
    auto* row_init =
        reinterpret_cast<std::int32_t*>(memory + round_up(max_rows_ * row_stride_ + 64, 64));
    auto* partial = row_init + round_up(max_rows_, 16);
    const bool needs_rows = kernel_.operands == IgemmOperands::U8S8 && weight_zero_point_ != 0;
    kernel_.gather(from, row, rows, packed, row_stride_, needs_rows ? row_init : nullptr);
    if (needs_rows) {
      for (std::int64_t i = 0; i < rows; ++i) row_init[i] *= -weight_zero_point_;
    }

    const std::int64_t index = group * panels_ + panel;
    IgemmBlock block;
    block.a = packed;
    block.row_stride = row_stride_;
    block.row_init = needs_rows ? row_init : nullptr;
    block.rows = rows;
    block.b = weights_->begin() + index * depth_units_ * unit_bytes_;
    block.depth_units = depth_units_;
    block.block_units = block_units_;
    block.init = columns_->init.data() + index * kernel_.nr;
    block.multiplier = columns_->multiplier.data() + index * kernel_.nr;
    block.bias = columns_->bias.data() + index * kernel_.nr;
    if (!columns_->slopes.empty()) block.slopes = columns_->slopes.data() + index * kernel_.nr;
    block.columns = std::min(panel_end * kernel_.nr, geometry_.group_out()) - panel * kernel_.nr;
    block.low = low_;
    block.high = high_;
    block.zero_point = output_zero_point_;
    block.partial = partial;
    const std::int64_t first =
        row * geometry_.out_c + group * geometry_.group_out() + panel * kernel_.nr;
    block.out = output + first;
    block.out_stride = geometry_.out_c;
    block.residual = residual_;
    block.function = function_;
    if (residual != nullptr) block.residual.elements = residual + first;
    run_igemm_block(kernel_, block);
  }

  const char* name_;
  IgemmKernel kernel_;
  ConvGeometry geometry_;
  std::int32_t input_zero_point_;
  std::int32_t weight_zero_point_;
  std::int32_t output_zero_point_;
  float low_;
  float high_;
  ConvResidual residual_;  // without the elements
  ConvFunction function_;
  int slots_;
  std::int64_t depth_units_ = 0;  // of kr elements
  std::int64_t block_units_ = 0;  // depth of one K block
  std::int64_t unit_bytes_ = 0;   // of one panel and depth unit
  std::int64_t panels_ = 0;       // per group
  std::int64_t row_stride_ = 0;
  std::int64_t max_rows_ = 0;
  std::int64_t slot_bytes_ = 0;
  std::int64_t serial_row_blocks_ = 1;
  std::int64_t parallel_row_blocks_ = 1;
  std::int64_t parallel_panel_blocks_ = 1;
  std::shared_ptr<const Columns> columns_;
  std::shared_ptr<const Weights> weights_;
};

}  // namespace

std::int64_t igemm_block_units(const IgemmKernel& kernel, std::int64_t depth_units) {
  const std::int64_t unit_bytes = kernel.nr * kernel.kr * element_bytes(kernel);
  const std::int64_t most = std::max<std::int64_t>(kPanelBytes / unit_bytes, 1);
  return ceil_div(depth_units, ceil_div(depth_units, most));
}

std::int64_t igemm_row_stride(const IgemmKernel& kernel, std::int64_t depth_units) {
  // An odd number of cache lines, so that rows do not compete for the same cache sets.
  const std::int64_t stride = round_up(depth_units * kernel.kr * element_bytes(kernel), 64);
  return stride / 64 % 2 == 0 ? stride + 64 : stride;
}

std::int64_t igemm_max_rows(const IgemmKernel& kernel, std::int64_t row_stride) {
  return std::clamp(kRowsBytes / row_stride / kernel.mr * kernel.mr, kernel.mr, kMaxRows);
}

std::int64_t igemm_partial_bytes(const IgemmKernel& kernel, std::int64_t rows,
                                 std::int64_t depth_units, const ConvFunction& function) {
  if (depth_units > igemm_block_units(kernel, depth_units))
    return round_up(rows, kernel.mr) * kernel.nr * 4;
  return function.gate != ConvGate::None ? kernel.mr * kernel.nr * 4 : 0;
}

void run_igemm_block(const IgemmKernel& kernel, const IgemmBlock& block) noexcept {
  const std::int64_t unit_bytes = kernel.nr * kernel.kr * element_bytes(kernel);
  const std::int64_t tiles = ceil_div(block.rows, kernel.mr);
  IgemmTile tile;
  tile.a_stride = block.row_stride;
  tile.low = block.low;
  tile.high = block.high;
  tile.zero_point = block.zero_point;
  tile.out_stride = block.out_stride;
  tile.residual = block.residual;
  tile.function = block.function;
  const bool has_partials = block.block_units < block.depth_units;
  for (std::int64_t column = 0; column < block.columns; column += kernel.nr) {
    const std::byte* panel = block.b + column / kernel.nr * block.depth_units * unit_bytes;
    tile.init = block.init + column;
    tile.multiplier = block.multiplier + column;
    tile.bias = block.bias + column;
    if (block.slopes != nullptr) tile.slopes = block.slopes + column;
    tile.columns = std::min(kernel.nr, block.columns - column);
    for (std::int64_t unit = 0; unit < block.depth_units; unit += block.block_units) {
      tile.depth = std::min(block.block_units, block.depth_units - unit);
      tile.b = panel + unit * unit_bytes;
      tile.first = unit == 0;
      tile.last = unit + tile.depth == block.depth_units;
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t begin = part_begin(block.rows, tiles, t);
        tile.rows = part_begin(block.rows, tiles, t + 1) - begin;
        tile.a = block.a + begin * block.row_stride + unit * kernel.kr * element_bytes(kernel);
        tile.partial = block.partial + (has_partials ? t * kernel.mr * kernel.nr : 0);
        tile.row_init = block.row_init != nullptr ? block.row_init + begin : nullptr;
        const std::int64_t first = begin * block.out_stride + column;
        tile.out = block.out + first;
        if (block.residual.elements != nullptr)
          tile.residual.elements = block.residual.elements + first;
        kernel.tile(tile);
      }
    }
  }
}

std::unique_ptr<Conv> make_igemm_conv(const char* name, const IgemmKernel& kernel,
                                      const ConvProblem& problem, int max_threads) {
  return std::make_unique<IgemmConv>(name, kernel, problem, max_threads);
}

}  // namespace enn

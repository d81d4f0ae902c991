#include "kernels/matmul/matmul.hpp"

#include <algorithm>
#include <atomic>

#include "kernels/kernel_row.hpp"
#include "kernels/matmul/packed.hpp"
#include "kernels/split.hpp"

namespace enn {
namespace {

// Products below which a second thread does not pay.
constexpr std::int64_t kParallelMatMulProducts = 1 << 19;

// Packs matrices of b in panels of `nr` columns, then multiplies blocks of rows with them. Where
// there are batches enough for all threads, one packs and multiplies a whole batch in its own part
// of the scratch memory; else all matrices are packed first.
class PackedMatMul : public MatMul {
 public:
  const char* name() const noexcept override { return name_; }

  std::size_t scratch_bytes() const noexcept override {
    const std::int64_t shared = alone_ ? 0 : problem_.b_count * matrix_bytes_;
    return static_cast<std::size_t>(shared + slots_ * slot_bytes());
  }

  void run(const std::byte* a, const std::byte* b, std::byte* out, std::byte* scratch,
           Parallel& parallel) const noexcept override {
    const int slots = std::min(parallel.thread_count(), slots_);
    const std::int64_t row_blocks = alone_ ? 1 : row_blocks_;
    const std::int64_t jobs = batches_ * row_blocks;
    std::byte* own = scratch;
    if (!alone_) {
      own += problem_.b_count * matrix_bytes_;
      split(parallel, problem_.b_count * panels_, problem_.depth * nr_,
            [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t i = begin; i < end; ++i) {
                pack(b, i / panels_, i % panels_, i % panels_ + 1,
                     scratch + i / panels_ * matrix_bytes_);
              }
            });
    }
    std::atomic<std::int64_t> next = 0;
    auto work = [&](int slot) {
      std::byte* memory = own + slot * slot_bytes();
      for (;;) {
        const std::int64_t job = next.fetch_add(1, std::memory_order_relaxed);
        if (job >= jobs) return;
        const std::int64_t index = job / row_blocks;
        const MatMulPlace place = matmul_place(problem_, index);
        std::byte* matrix = scratch + place.b * matrix_bytes_;
        std::byte* rows_memory = memory;
        if (alone_) {
          matrix = memory;
          rows_memory = memory + matrix_bytes_;
          pack(b, place.b, 0, panels_, matrix);
        }
        const std::int64_t end = part_begin(problem_.rows, row_blocks, job % row_blocks + 1);
        std::int64_t row = part_begin(problem_.rows, row_blocks, job % row_blocks);
        for (; row < end; row += max_rows_) {
          run_rows(a, place.a, row, std::min(max_rows_, end - row), matrix, rows_memory, out,
                   index * problem_.rows + row);
        }
      }
    };
    const bool small =
        batches_ * problem_.rows * problem_.depth * problem_.columns < kParallelMatMulProducts;
    if (slots == 1 || jobs == 1 || small) {
      work(0);
    } else {
      parallel.run(static_cast<int>(std::min<std::int64_t>(slots, jobs)), work);
    }
  }

 protected:
  PackedMatMul(const char* name, const MatMulProblem& problem, std::int64_t nr, int max_threads)
      : problem_(problem),
        nr_(nr),
        panels_(ceil_div(problem.columns, nr)),
        batches_(problem.batch_count()),
        name_(name),
        slots_(max_threads) {
    bias_.assign(static_cast<std::size_t>(panels_ * nr), 0.0F);
    std::copy_n(problem.bias, problem.columns, bias_.begin());
    problem_.bias = nullptr;
  }

  // Both multiples of 64 bytes; called once, by constructors.
  void set_sizes(std::int64_t panel_bytes, std::int64_t rows_bytes, std::int64_t max_rows,
                 std::int64_t mr) {
    panel_bytes_ = panel_bytes;
    matrix_bytes_ = round_up(panels_ * panel_bytes + panels_ * nr_ * 4 + 64, 64);
    rows_bytes_ = rows_bytes;
    max_rows_ = max_rows;
    alone_ = problem_.b_count == batches_ && (slots_ == 1 || batches_ >= 4 * slots_);
    const std::int64_t wanted = slots_ == 1 ? 1 : ceil_div(4 * slots_, batches_);
    row_blocks_ =
        std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(problem_.rows / (4 * mr), 1));
  }

  // Of a packed matrix: the panels, then one int32 per column.
  [[nodiscard]] std::int32_t* column_init(std::byte* matrix) const {
    return reinterpret_cast<std::int32_t*>(matrix + panels_ * panel_bytes_);
  }

  virtual void pack_panel(const MatMulColumns& columns, std::byte* packed,
                          std::int32_t* init) const noexcept = 0;
  // Rows [row, row + rows) of matrix `a_index`, into row `out_row` of all results.
  virtual void run_rows(const std::byte* a, std::int64_t a_index, std::int64_t row,
                        std::int64_t rows, std::byte* matrix, std::byte* memory, std::byte* out,
                        std::int64_t out_row) const noexcept = 0;

  MatMulProblem problem_;
  std::vector<float> bias_;  // padded to whole panels
  std::int64_t nr_;
  std::int64_t panels_;
  std::int64_t batches_;

 private:
  [[nodiscard]] std::int64_t slot_bytes() const {
    return rows_bytes_ + (alone_ ? matrix_bytes_ : 0);
  }

  void pack(const std::byte* b, std::int64_t index, std::int64_t panel, std::int64_t panel_end,
            std::byte* matrix) const {
    const std::int64_t element = problem_.is_float ? 4 : 1;
    const std::byte* begin = b + index * problem_.depth * problem_.columns * element;
    MatMulColumns columns;
    columns.transposed = problem_.transpose_b;
    columns.stride = problem_.transpose_b ? problem_.depth : problem_.columns;
    columns.depth = problem_.depth;
    columns.nr = nr_;
    columns.zero_point = problem_.b_zero_point;
    for (; panel < panel_end; ++panel) {
      const std::int64_t first = panel * nr_;
      columns.b = begin + first * (problem_.transpose_b ? problem_.depth : 1) * element;
      columns.count = std::min(nr_, problem_.columns - first);
      pack_panel(columns, matrix + panel * panel_bytes_, column_init(matrix) + first);
    }
  }

  const char* name_;
  int slots_;
  std::int64_t panel_bytes_ = 0;
  std::int64_t matrix_bytes_ = 0;
  std::int64_t rows_bytes_ = 0;  // scratch of one slot for its rows
  std::int64_t max_rows_ = 1;
  std::int64_t row_blocks_ = 1;
  bool alone_ = false;
};

class IgemmMatMul final : public PackedMatMul {
 public:
  IgemmMatMul(const char* name, const IgemmKernel& kernel, PackMatMul pack_columns,
              const MatMulProblem& problem, int max_threads)
      : PackedMatMul(name, problem, kernel.nr, max_threads), kernel_(kernel), pack_(pack_columns) {
    depth_units_ = ceil_div(problem.depth, kernel.kr);
    block_units_ = igemm_block_units(kernel, depth_units_);
    row_stride_ = igemm_row_stride(kernel, depth_units_);
    row_block_ = igemm_max_rows(kernel, row_stride_);
    multiplier_.assign(bias_.size(), problem.multiplier);
    // Offset binary less 128 is the signed byte that the tile multiplies with.
    signed_zero_point_ = problem.b_zero_point - 128;
    const std::int64_t partial_bytes = igemm_partial_bytes(kernel, row_block_, depth_units_, {});
    set_sizes(depth_units_ * kernel.nr * kernel.kr * element_bytes(kernel),
              row_init_offset() + round_up(row_block_ * 4, 64) + partial_bytes, row_block_,
              kernel.mr);
  }

 private:
  [[nodiscard]] std::int64_t row_init_offset() const {
    return round_up(row_block_ * row_stride_ + 64, 64);
  }

  void pack_panel(const MatMulColumns& columns, std::byte* packed,
                  std::int32_t* init) const noexcept override {
    if (kernel_.operands == IgemmOperands::S16) {
      std::fill_n(init, kernel_.nr, 0);
      pack_(columns, packed, init);
      return;
    }
    pack_(columns, packed, init);
    for (std::int64_t j = 0; j < columns.count; ++j) {
      const std::int64_t sum = init[j];
      init[j] = static_cast<std::int32_t>(problem_.a_zero_point *
                                          (columns.depth * signed_zero_point_ - sum));
    }
  }

  void run_rows(const std::byte* a, std::int64_t a_index, std::int64_t row, std::int64_t rows,
                std::byte* matrix, std::byte* memory, std::byte* out,
                std::int64_t out_row) const noexcept override {
    IgemmGather from;
    from.geometry.in_w = from.geometry.out_w = problem_.rows;
    from.geometry.in_c = problem_.depth;
    const std::int64_t bytes = problem_.rows * problem_.depth;
    from.input = reinterpret_cast<const std::uint8_t*>(a) + a_index * bytes;
    from.input_end = from.input + bytes;
    from.input_zero_point = problem_.a_zero_point;
    auto* row_init = reinterpret_cast<std::int32_t*>(memory + row_init_offset());
    const bool needs_rows = kernel_.operands == IgemmOperands::U8S8 && signed_zero_point_ != 0;
    kernel_.gather(from, row, rows, memory, row_stride_, needs_rows ? row_init : nullptr);
    if (needs_rows) {
      for (std::int64_t i = 0; i < rows; ++i) row_init[i] *= -signed_zero_point_;
    }
    IgemmBlock block;
    block.a = memory;
    block.row_stride = row_stride_;
    block.row_init = needs_rows ? row_init : nullptr;
    block.rows = rows;
    block.b = matrix;
    block.depth_units = depth_units_;
    block.block_units = block_units_;
    block.init = column_init(matrix);
    block.multiplier = multiplier_.data();
    block.bias = bias_.data();
    block.columns = problem_.columns;
    block.low = static_cast<float>(-problem_.output_zero_point);
    block.high = static_cast<float>(255 - problem_.output_zero_point);
    block.zero_point = problem_.output_zero_point;
    block.partial = row_init + round_up(row_block_, 16);
    block.out = reinterpret_cast<std::uint8_t*>(out) + out_row * problem_.columns;
    block.out_stride = problem_.columns;
    run_igemm_block(kernel_, block);
  }

  IgemmKernel kernel_;
  PackMatMul pack_;
  std::vector<float> multiplier_;
  std::int64_t depth_units_ = 0;
  std::int64_t block_units_ = 0;
  std::int64_t row_stride_ = 0;
  std::int64_t row_block_ = 0;
  std::int32_t signed_zero_point_ = 0;
};

class FloatMatMul final : public PackedMatMul {
 public:
  FloatMatMul(const char* name, PackMatMul pack_columns, RunMatMulF32 tile,
              const MatMulProblem& problem, int max_threads)
      : PackedMatMul(name, problem, kColumns, max_threads), pack_(pack_columns), run_(tile) {
    set_sizes(problem.depth * kColumns * 4, 0, problem.rows, kRows);
  }

 private:
  static constexpr std::int64_t kColumns = 16;
  static constexpr std::int64_t kRows = 6;

  void pack_panel(const MatMulColumns& columns, std::byte* packed,
                  std::int32_t* init) const noexcept override {
    pack_(columns, packed, init);
  }

  void run_rows(const std::byte* a, std::int64_t a_index, std::int64_t row, std::int64_t rows,
                std::byte* matrix, std::byte* /*memory*/, std::byte* out,
                std::int64_t out_row) const noexcept override {
    MatMulF32Rows block;
    block.a = reinterpret_cast<const float*>(a) + (a_index * problem_.rows + row) * problem_.depth;
    block.rows = rows;
    block.depth = problem_.depth;
    block.b = reinterpret_cast<const float*>(matrix);
    block.bias = bias_.data();
    block.columns = problem_.columns;
    block.out = reinterpret_cast<float*>(out) + out_row * problem_.columns;
    run_(block);
  }

  PackMatMul pack_;
  RunMatMulF32 run_;
};

using enum CpuFeature;

#define ENN_MATMUL(name, tile, pack, ...)                                                \
  {#name, needs(__VA_ARGS__), false, [](const MatMulProblem& problem, int max_threads) { \
     return make_igemm_matmul(#name, tile, pack, problem, max_threads);                  \
   }},
#define ENN_MATMUL_F32(name, pack, run, ...)                                       \
  {#name, needs(__VA_ARGS__), true,                                                \
   [](const MatMulProblem& problem, int max_threads) -> std::unique_ptr<MatMul> {  \
     return std::make_unique<FloatMatMul>(#name, pack, run, problem, max_threads); \
   }},
#define ENN_MATMUL_REFERENCE(name, is_float) {#name, CpuFeatures{}, is_float, make_##name},
constexpr MatMulKernel kMatMulKernels[] = {
#include "kernels/matmul/kernels.def"
};
#undef ENN_MATMUL
#undef ENN_MATMUL_F32
#undef ENN_MATMUL_REFERENCE

}  // namespace

std::unique_ptr<MatMul> make_igemm_matmul(const char* name, const IgemmKernel& kernel,
                                          PackMatMul pack, const MatMulProblem& problem,
                                          int max_threads) {
  return std::make_unique<IgemmMatMul>(name, kernel, pack, problem, max_threads);
}

std::span<const MatMulKernel> matmul_kernels() { return kMatMulKernels; }

std::unique_ptr<MatMul> make_matmul(const MatMulProblem& problem, CpuFeatures features,
                                    int max_threads) {
  for (const MatMulKernel& kernel : kMatMulKernels) {
    if (kernel.is_float != problem.is_float || !features.contains(kernel.needs)) continue;
    return kernel.make(problem, max_threads);
  }
  return nullptr;
}

}  // namespace enn
